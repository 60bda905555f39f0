"""`python -m maskstream`, which is what torchrun starts."""

from maskstream.cli.main import main

if __name__ == "__main__":
    main()
