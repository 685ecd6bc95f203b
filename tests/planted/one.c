/* SPDX-License-Identifier: MIT */

/* One of three files that need each other in a ring, which tests/rings.py must find. */

int planted_one(int n);
int planted_two(int n);

int planted_one(int n) {
        return n == 0 ? 0 : planted_two(n - 1);
}
