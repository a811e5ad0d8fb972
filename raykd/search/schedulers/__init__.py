"""Early-stopping schedulers, one file each; the file name is the YAML name."""
