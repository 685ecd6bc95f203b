/* SPDX-License-Identifier: MIT */

/* One of three files that need each other in a ring, which tests/rings.py must find. */

int planted_three(int n);
int planted_one(int n);

int planted_three(int n) {
        return n == 0 ? 0 : planted_one(n - 1);
}
