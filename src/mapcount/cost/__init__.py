"""What counting costs: operations, readers and whole workloads by exact replay, and what this machine makes of that in ns."""
