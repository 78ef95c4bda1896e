"""The manifest in this process: its log, its state on disk, and the controller that decides."""
