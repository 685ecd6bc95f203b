/* SPDX-License-Identifier: MIT */

/* One of three files that need each other in a ring, which tests/rings.py must find. */

int planted_two(int n);
int planted_three(int n);

int planted_two(int n) {
        return n == 0 ? 0 : planted_three(n - 1);
}
