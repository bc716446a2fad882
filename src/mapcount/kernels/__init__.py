"""Real kernels as the referee: images, guests under QEMU, their memory, this host, and what is recorded of them."""
