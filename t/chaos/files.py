"""The static files: python3 files.py SEED DIRECTORY."""

import os
import sys

from content import Content
from inner import STATIC

content = Content(sys.argv[1])
directory = sys.argv[2] + "/static"
os.makedirs(directory)

for name, size in STATIC.items():
    with open(f"{directory}/{name}", "wb") as file:
        file.write(content.body(name, size))
