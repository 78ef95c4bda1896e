"""Every operation on the cluster, once: faces ask here, and here alone."""
