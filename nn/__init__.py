"""What torch.nn leaves open: whether modules can run as one, and softmax of short rows."""
