"""Rules for cluster files, one file each."""
