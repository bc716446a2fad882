"""Live tests: known workloads, and what capture and survey say of them, on this machine and as root."""
