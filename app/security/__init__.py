"""Who may do what, and how much: the ports that every request passes."""
