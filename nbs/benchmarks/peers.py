"""The networks that a user would pick instead, and what a strip costs them. Run as a script, it measures one network in one way."""
import io
import json
import os
import re
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from statistics import median

import torch
from steel_defects.lite_unet import LiteUNet
from steel_defects.predict import folded
from steel_defects.unet import UNet, pad_to_multiple
from torch import nn


def double_conv(
    c_in:int,  # Channels coming in
    c_out:int, # Channels going out
)->nn.Sequential: # Keeps height and width
    "Two 3 x 3 convolutions with normalisation and ReLU."
    layers = [[nn.Conv2d(c, c_out, 3, padding=1, bias=False), nn.BatchNorm2d(c_out), nn.ReLU(inplace=True)] for c in (c_in, c_out)]
    return nn.Sequential(*sum(layers, []))


class PlainUNet(nn.Module):
    "The U-Net of 31 million parameters as it is commonly copied: 64 to 1,024 channels, transposed convolutions."
    def __init__(self,
                 classes:int=4,     # Logits per pixel
                 in_channels:int=1, # Channels of the images
                 width:int=64):     # Channels at full resolution
        super().__init__()
        widths = [width*2**n for n in range(5)]
        self.inc = double_conv(in_channels, width)
        self.down = nn.ModuleList(nn.Sequential(nn.MaxPool2d(2), double_conv(a, b)) for a, b in zip(widths, widths[1:]))
        self.enlarge = nn.ModuleList(nn.ConvTranspose2d(2*w, w, 2, stride=2) for w in reversed(widths[:-1]))
        self.up = nn.ModuleList(double_conv(2*w, w) for w in reversed(widths[:-1]))
        self.head = nn.Conv2d(width, classes, 1)

    def forward(self, x):
        skips = [self.inc(x)]
        for down in self.down: skips.append(down(skips[-1]))
        x = skips.pop()
        for enlarge, up in zip(self.enlarge, self.up): x = up(torch.cat([skips.pop(), enlarge(x)], dim=1))
        return self.head(x)


class Padded(nn.Module):
    "Let a network that takes only sides of certain multiples take images of any size."
    def __init__(self,
                 net:nn.Module,     # From (B, 1, H, W) to logits
                 multiple:int=32):  # What its sides must be multiples of
        super().__init__()
        self.net, self.multiple = net, multiple

    def forward(self, x): return self.net(pad_to_multiple(x, self.multiple))[..., :x.shape[-2], :x.shape[-1]]


def smp_unet(
    classes:int, # Logits per pixel
)->nn.Module:    # Takes sides that are multiples of 32
    "Make the U-Net of segmentation_models_pytorch on a ResNet-34; the import is here, for it takes long."
    import torchvision_operators  # noqa: F401
    import segmentation_models_pytorch as smp
    return smp.Unet("resnet34", encoder_weights=None, in_channels=1, classes=classes)


def monai_unet(
    classes:int, # Logits per pixel
)->nn.Module:
    "Make MONAI's BasicUNet; the import is here, for it takes long."
    from monai.networks.nets import BasicUNet
    return BasicUNet(spatial_dims=2, in_channels=1, out_channels=classes)


NETWORKS = {"LiteUNet": lambda classes: LiteUNet(classes=classes),
            "UNet": lambda classes: UNet(classes=classes),
            "smp Unet resnet34": smp_unet,
            "MONAI BasicUNet": monai_unet,
            "plain U-Net": PlainUNet}


def onnx_session(
    net:nn.Module,      # In eval mode
    strip:torch.Tensor, # (1, 1, H, W)
)->Callable:            # Without arguments: logits
    "Hand a network to onnxruntime."
    import onnxruntime
    file, options = io.BytesIO(), onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    torch.onnx.export(net, (strip,), file, dynamo=False, opset_version=17)
    session, array = onnxruntime.InferenceSession(file.getvalue(), options, providers=["CPUExecutionProvider"]), strip.numpy()
    return lambda: torch.from_numpy(session.run(None, {session.get_inputs()[0].name: array})[0])


def predictor(
    net:nn.Module,      # With random weights
    strip:torch.Tensor, # (1, 1, H, W)
    way:str,            # Words: bf16, folded, compiled, onnxruntime; "float32" asks for nothing
)->Callable:            # Without arguments: probabilities
    "Make a network ready to predict a strip in one way."
    bf16, net = "bf16" in way, net.eval()
    if "folded" in way: net = folded(net)
    if "onnxruntime" in way: run = onnx_session(net, strip)
    else:
        layout = torch.channels_last if bf16 else torch.contiguous_format
        net, strip = net.to(memory_format=layout), strip.to(memory_format=layout)
        if "compiled" in way: net = torch.compile(net)
        run = lambda: net(strip)
    def predict():
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=bf16): return run().float().sigmoid()
    return predict


def resident(
    line:str="VmRSS", # Or VmHWM, the highest so far
)->float:             # Megabytes (10⁶ bytes)
    "Read this process's resident memory."
    return int(re.search(rf"{line}:\s+(\d+)", Path("/proc/self/status").read_text())[1])*1.024e-3


def measure(
    name:str,      # In `NETWORKS`
    way:str,       # See `predictor`
    rounds:int=5,  # Strips timed
)->dict:           # Median milliseconds, and megabytes above what the process had before there was a network
    "Measure one network in this process."
    clock = time.process_time if torch.get_num_threads() == 1 else time.perf_counter
    if not {"compiled", "onnxruntime"} & {*re.findall(r"\w+", way)}: # a first small network brings the code in that each needs
        predictor(UNet(classes=4, width=4), torch.randn(1, 1, 64, 64), way)()
    NETWORKS[name](4)
    before = resident()
    Path("/proc/self/clear_refs").write_text("5")
    predict, times = predictor(NETWORKS[name](4), torch.randn(1, 1, 256, 1600), way), []
    for n in range(-1, rounds):
        start = clock()
        shape = predict().shape
        if n >= 0: times.append(clock()-start)
    if shape != (1, 4, 256, 1600): raise ValueError(f"{name} gives {tuple(shape)}")
    return {"ms a strip": 1e3*median(times), "MB": resident("VmHWM")-before}


KEEP = dict(MALLOC_TRIM_THRESHOLD_=str(2**31-1), MALLOC_MMAP_THRESHOLD_=str(2**30)) # memory that was freed is kept for the next strip


def strip_cost(
    name:str,            # In `NETWORKS`
    way:str,             # See `predictor`; with "kept" the process keeps freed memory
    rounds:int=5,        # Strips timed
)->dict:                 # As `measure`
    "Measure one network in a process of its own."
    done = subprocess.run([sys.executable, __file__, name, way, str(rounds)], env={**os.environ, **(KEEP if "kept" in way else {})},
                          capture_output=True, text=True, cwd=Path(__file__).parent)
    if done.returncode: raise RuntimeError(f"{name}, {way}: {done.stderr.strip().splitlines()[-1]}")
    return dict(network=name, way=way, **json.loads(done.stdout.strip().splitlines()[-1]))


if __name__ == "__main__":
    warnings.filterwarnings("ignore")
    torch.manual_seed(0)
    print(json.dumps(measure(sys.argv[1], sys.argv[2], int(sys.argv[3]))))
