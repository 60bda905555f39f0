"""maskstream: segment, track and measure objects of interest in video."""

__version__ = "0.1.0"
