"""Functions in every form that the subset allows: run as they are, and flattened, they must do the same."""

from __future__ import annotations

from mapcount.schemes.ops import atomic_add_return, atomic_inc_and_test, read, store, test_and_set_bit
from mapcount.schemes.words import folio_flag, page_word

W = page_word("_w", bias=-1, width_bits=8)
F = folio_flag("FLAG", "flags")
EVEN = 2
OFF = 0


def early(m, i, a):
    if a < 3:
        if a == 1:
            return 7
        store(m, W, i, a)
    elif a == 5:
        return atomic_add_return(m, W, i, a)
    store(m, W, i, a + 1)
    return read(m, W, i)


def in_loop(m, i, a):
    for k in range(i):
        if k == a:
            return k * 10
        if k == 5:
            break
        store(m, W, 0, k)
    return -1


def nested_loops(m, i, a):
    total = 0
    for k in range(3):
        for j in range(k, i):
            if j * k == a:
                return 100 + j
            if j == 4:
                continue
            total += atomic_add_return(m, W, k, j)
        total -= 1
    while total > 40:
        total -= 7
        if total == 44:
            return total
    return total


def short_circuit(m, i, a):
    hits = 0
    if a and atomic_inc_and_test(m, W, 0) and not test_and_set_bit(m, F, 0):
        hits += 1
    if a == 0 or atomic_add_return(m, W, 1, a) > 3 or read(m, W, 1) == -1:
        hits += 2
    while hits < 9 and atomic_add_return(m, W, 2, 1) < 6:
        hits += 1
    return hits if hits != a else early(m, 2, a)


def assigned_parameter(m, i, a):
    a += i
    i = a % 3
    if OFF:
        return 99
    return early(m, i, a) + a


def bools(m, i, a):
    truth = a > 2
    other = not truth or i == 1
    return truth + other + (a >> 1 & 1) + a // EVEN - ~i + (-a if truth else +a)


def helper_without_value(m, i, a):
    if a == 2:
        return
    store(m, W, i, a)


def order_of_evaluation(m, i, a):
    helper_without_value(m, i, a)
    return atomic_add_return(m, W, i, a) * 100 + read(m, W, i) * 10 + atomic_add_return(m, W, i, 1)


def constants_decide(m, i, a):
    hits = 0
    if OFF and atomic_inc_and_test(m, W, 0):
        hits += 1
    if OFF or atomic_inc_and_test(m, W, 1):
        hits += 2
    if EVEN and atomic_add_return(m, W, 2, a) > 5:
        hits += 4
    if EVEN or atomic_inc_and_test(m, W, 3):
        hits += 8
    if not OFF and a:
        hits += 16
    return hits + (i if EVEN > 1 else a) + (i if a == EVEN else a)


ALL = [constants_decide, early, in_loop, nested_loops, short_circuit, assigned_parameter, bools, order_of_evaluation]
HELPERS = [*ALL, helper_without_value]
