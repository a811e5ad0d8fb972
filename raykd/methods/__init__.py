"""The contract of a distillation method, and one file per method, named as in YAML."""
