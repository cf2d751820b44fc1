"""How the programs of this folder that have a function for each question are called:

    PROGRAM FUNCTION [ARGUMENT]...

What the function returns is printed as JSON. All arguments are texts.
"""

import json
import sys


def answer(functions):
    """Calls what the command line names, and prints what that returns."""
    name, *arguments = sys.argv[1:]
    print(json.dumps(functions[name](*arguments)))
