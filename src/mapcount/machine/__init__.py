"""The model of a machine: processes, VMAs and page tables, and what faults and system calls do to them."""
