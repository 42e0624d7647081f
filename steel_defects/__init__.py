"""Find steel-surface defects pixel by pixel.

`import steel_defects as sd` costs little: a name such as `sd.rle_decode` loads its module when it is first used.
Which module holds which name stands in `__init__.pyi`, written by `make prepare` from the modules' `__all__`.
Should a module and a function in it share a name, `sd.name` is always the function, whatever was imported before;
`from steel_defects.name import ...` reaches the rest of the module.
"""
import lazy_loader

__version__ = "0.1.0"
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
