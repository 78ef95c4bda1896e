"""The Manifest: the pure machine that folds facts into what exists."""
