"Find steel-surface defects pixel by pixel."
__version__ = "0.1.0"
