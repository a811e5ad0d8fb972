"""Search algorithms, one file each; the file name is the YAML name."""
