"""`python -m mc2` is `mc2`."""
from mc2.cli import main

if __name__ == "__main__":
    main()
