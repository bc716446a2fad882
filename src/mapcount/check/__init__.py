"""What readers without a lock can see: schemes lowered to single steps, and every interleaving of these."""
