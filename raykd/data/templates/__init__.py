"""The wording of prompts with answer choices: one file per data set, which defines ``TEMPLATE``."""
