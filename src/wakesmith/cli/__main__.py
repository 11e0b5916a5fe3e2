"""`python -m wakesmith.cli`, for torchrun."""

from wakesmith.cli import main

if __name__ == "__main__":
    main()
