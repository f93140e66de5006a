# What a lock names for this interpreter, as JSON: `python listed.py LOCK EXTRA...`.
#
# Reads it with the libraries that pip brings.
import json, sys
from pip._vendor.packaging.markers import Marker
try:
    import tomllib
except ImportError:
    from pip._vendor import tomli as tomllib

with open(sys.argv[1], "rb") as file:
    lock = tomllib.load(file)
around = {"extras": set(sys.argv[2:]), "dependency_groups": set()}


def counts(package):
    marker = package.get("marker")
    return not marker or Marker(marker).evaluate(around, context="lock_file")


print(json.dumps({package["name"]: package["version"]
                  for package in lock["packages"] if counts(package)}))
