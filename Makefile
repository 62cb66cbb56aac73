# Set-up and the commands of the README. Nothing outside this folder is touched.
PYTHON ?= python3.11
