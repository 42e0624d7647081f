"""Let torchvision be imported beside a CPU build of torch.

The registry's torchvision is built against the CUDA build of torch. Beside the CPU build its library of operators (boxes, region pooling) does
not load, and its import stops because it describes operators that are not there. None of them is used by segmentation networks or scores, so
empty ones are enough here. Import this module before anything that imports torchvision. Only the benchmarks need it.
"""
import torch

OPERATORS = ("nms", "qnms", "qroi_align") + tuple(f"{a}{b}{c}" for b in ("roi_align", "roi_pool", "ps_roi_align", "ps_roi_pool", "deform_conv2d")
                                                  for a, c in (("", ""), ("_", "_backward")))

try: import torchvision  # noqa: F401
except RuntimeError:
    LIBRARY = torch.library.Library("torchvision", "DEF")
    for name in OPERATORS: LIBRARY.define(f"{name}() -> ()")
    import torchvision  # noqa: F401
