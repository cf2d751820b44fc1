"""How much memory a program takes."""

import json
import resource
import subprocess

from answer import answer


def peak(*command):
    """What a command prints as JSON, and the most memory that the system saw it use, in KiB."""
    ran = subprocess.run([*command, "--json"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    return [json.loads(ran.stdout), resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss]


def main():
    answer(globals())


if __name__ == "__main__":
    main()
