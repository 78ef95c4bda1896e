"""Speed, measured: nothing asserts a time; a machine's figures stand beside its medians."""
