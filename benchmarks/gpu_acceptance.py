"""Acceptance on a GPU: right, resumable, and how fast; writes one table, ``docs/performance_gpu.md``.

``python benchmarks/gpu_acceptance.py`` takes a few minutes, downloads nothing, and needs what the package
itself needs. ``--device cpu --quick`` tries its code on a CPU; its times mean nothing there.
"""

import argparse
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from torch.nn.functional import cosine_similarity, normalize
from torch.utils.flop_counter import FlopCounterMode
from torchvision.io import decode_jpeg, encode_jpeg

from cld.clustering import spherical_kmeans
from cld.config import load_run
from cld.data import Split, write_store
from cld.knn_vote import knn_classify, nearest_neighbours
from cld.losses import cross_level_loss
from cld.memory import MemoryBank, MomentumQueue
from cld.runtime.device import resolve_device
from cld.training.loop import start
from cld.training.step import Part, train_step

ROOT = Path(__file__).parents[1]
#: Largest relative difference of float32 results from a CPU's.
TOLERANCE = 1e-4
#: Networks of CIFAR's and ImageNet's size: backbone, side of views, images of a batch.
NETWORKS = {
    "ResNet-18, 32 px": ({"backbone.name": "resnet18"}, 32, 512),
    "ResNet-50, 224 px": ({"backbone.name": "resnet50", "backbone.stem": "imagenet"}, 224, 128),
}
#: A check: what, the result as text, whether it passed (None: a speed, which cannot fail).
Check = tuple[str, str, bool | None]
VERDICTS = {True: "passed", False: "FAILED", None: ""}


def main() -> None:
    """Write the table; exit status 1 if a check failed."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--device", help="cuda unless named")
    parser.add_argument("--quick", action="store_true", help="tiny sizes, to try the code")
    parser.add_argument("--out", type=Path, default=ROOT / "docs/performance_gpu.md")
    args = parser.parse_args()
    device = resolve_device(args.device or "cuda")
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False  # for the comparisons
    checks = [*equality(device, args.quick), kill_and_resume(device, args.quick), bf16_features(device)]
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
    checks += [*speeds(device, args.quick), *jpegs(device, args.quick)]
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "a CPU, to try the code"
    lines = [
        "# Performance on a GPU",
        "",
        f"Made by `make bench-gpu` on {time.strftime('%Y-%m-%d')}, on {name}, PyTorch {torch.__version__}.",
        "",
        "| what | result | |",
        "| --- | --- | --- |",
        *(f"| {what} | {result} | {VERDICTS[passed]} |" for what, result, passed in checks),
        "",
    ]
    args.out.write_text("\n".join(lines), encoding="utf-8")
    print("\n".join(lines))
    sys.exit(any(passed is False for *_, passed in checks))


def equality(device: torch.device, quick: bool) -> Iterator[Check]:
    """Losses, their gradients, clustering and kNN against the CPU's, in float32."""
    n, rows, groups = (64, 2_000, 8) if quick else (512, 50_000, 128)
    torch.manual_seed(0)
    bank, queue = MemoryBank(rows, 128, momentum=0.5), MomentumQueue(rows, 128)
    features = [normalize(torch.randn(n, 128), dim=1) for _ in range(2)]
    index = torch.randint(rows, (n,))

    def grouped(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
        labels, centroids = spherical_kmeans(torch.stack([first, second]), groups, 5)
        return cross_level_loss(first, second, *labels, *centroids, 0.1)

    def losses(place: str | torch.device) -> dict[str, torch.Tensor]:
        here = [each.to(place).requires_grad_() for each in features]
        found = {
            "NPID's loss": bank.to(place).loss(here[0], index.to(place), 0.1)[0],
            "MoCo's loss": queue.to(place).loss(here[0], here[1].detach(), 0.1)[0],
            "cross-level loss with k-means": grouped(*here),
        }
        gradients = {
            f"gradient of {name}": torch.autograd.grad(loss, here[0])[0] for name, loss in found.items()
        }
        return {name: value.detach().cpu() for name, value in {**found, **gradients}.items()}

    expected, found = losses("cpu"), losses(device)
    for name, value in expected.items():
        off = float((found[name] - value).norm() / value.norm())
        yield f"{name}, relative difference from the CPU's", f"{off:.1e}", off < TOLERANCE

    train, queries = (normalize(torch.randn(size, 128), dim=1) for size in (rows, n))
    labels = torch.randint(10, (rows,))
    (_, ours, _), *_ = nearest_neighbours(train, queries, 200)
    (_, theirs, _), *_ = nearest_neighbours(train, queries.to(device), 200)
    off = float((theirs.cpu() - ours).abs().max())
    yield "similarities of 200 neighbours, largest difference", f"{off:.1e}", off < TOLERANCE
    ranked = [
        knn_classify(train, labels, each, 10, 200, 0.1)[:, 0].cpu() for each in (queries, queries.to(device))
    ]
    same = float((ranked[0] == ranked[1]).double().mean())
    yield "kNN's answers that agree", f"{same:.2%}", same > 0.995


def kill_and_resume(device: torch.device, quick: bool) -> Check:
    """A run that is killed and resumed ends with the weights of one that is not."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        images = np.random.default_rng(0).integers(0, 256, (512, 32, 32, 3), dtype=np.uint8)
        facts = {"dataset": "cifar10", "preset": "demo", "classes": ["any"], "sources": {}, "config": {}}
        write_store(folder / "s.h5", {"train": Split(images, np.zeros(512, np.int64))}, **facts)
        epochs = 4 if quick else 40
        command = [sys.executable, "-m", "cld", "train", "--preset", "demo", "--dataset", "cifar10"]
        command += ["--method", "npid", "--store", str(folder / "s.h5"), "--device", str(device), "--run-dir"]
        settings = [f"optimiser.epochs={epochs}", "optimiser.batch_size=64", "checkpoint_every_s=0"]
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "CUBLAS_WORKSPACE_CONFIG": ":4096:8"}

        def run(run_dir: Path, until: Callable[[], bool] | None = None) -> None:
            options = {"env": environment, "cwd": ROOT, "stdout": subprocess.DEVNULL}
            call = [*command, str(run_dir), *settings]
            with subprocess.Popen(call, stderr=subprocess.DEVNULL, **options) as process:
                while until and process.poll() is None and not until():
                    time.sleep(0.01)
                if until:
                    process.send_signal(signal.SIGKILL)

        run(folder / "whole")
        killed = folder / "killed"
        run(killed, (killed / "partial.pt").exists)
        was_killed = not (killed / "checkpoint.pt").exists()
        run(killed)
        weights = [
            torch.load(each / "checkpoint.pt", map_location="cpu", weights_only=False)["encoder"]
            for each in (folder / "whole", killed)
        ]
        off = max(float((a.double() - weights[1][key].double()).abs().max()) for key, a in weights[0].items())
        shutil.rmtree(killed)
    # a GPU's convolutions may add in another order from run to run
    passed = was_killed and off <= (0 if device.type == "cpu" else 1e-2)
    return "killed and resumed, largest difference of a weight", f"{off:.1e}", passed


def bf16_features(device: torch.device) -> Check:
    """Cosine of features in bf16 with those of the same weights in fp32."""
    views = torch.randn(64, 3, 32, 32, device=device)
    method = state_of({"precision": "fp32"}, 256, device).method.eval()
    with torch.no_grad():
        exact = method.encoder(views)
        method.encoder.precision = "bf16"
        cosine = float(cosine_similarity(method.encoder(views), exact).min())
    return "features in bf16 and fp32, least cosine", f"{cosine:.4f}", cosine > 0.98


def state_of(overrides: dict, n_images: int, device: torch.device) -> object:
    """A run of NPID + CLD of the paper preset before its first step."""
    return start(load_run("paper", "cifar10", "npid", 0, overrides), "none", n_images, device)


def speeds(device: torch.device, quick: bool) -> Iterator[Check]:
    """Steps of networks of two sizes, by precision and with and without the compiler."""
    peak = product_rate(device, 512 if quick else 8192)
    yield "a large product in bf16", f"{peak / 1e12:.2f}e12 floating-point operations a second", None
    networks = dict(list(NETWORKS.items())[: 1 if quick else 2])
    for name, (backbone, side, batch) in networks.items():
        batch = 8 if quick else batch
        for precision, compiled in (("fp32", False), ("bf16", False)) if quick else OPTIONS:
            overrides = {**backbone, "precision": precision, "speed.compile": compiled}
            overrides |= {"optimiser.batch_size": batch, "cld.n_groups": batch // 4}
            state = state_of(overrides, 4096, device)
            views = tuple(torch.randn(batch, 3, side, side, device=device) for _ in range(2))
            part = Part(views, torch.arange(batch, device=device), torch.Generator())
            backbone_of = state.method.encoder.backbone

            def bare(views: tuple = views, network: object = backbone_of, precision: str = precision) -> None:
                with torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16"):
                    for view in views:
                        network(view).sum().backward()

            if not compiled:
                with FlopCounterMode(display=False) as counter:
                    bare()
                flops = counter.get_total_flops()
            alone = seconds(bare, device, quick)
            step = seconds(lambda s=state, p=part: train_step(s, s.method, [p], 0.01, 0.5), device, quick)
            yield (
                f"{name}, {precision}{', compiled' if compiled else ''}, batch of {batch}",
                f"{2 * batch / step:,.0f} views/s; step {step / alone:.3f} of the bare pass; "
                f"{flops / step / peak:.0%} of the product's rate",
                None,
            )


OPTIONS = (("fp32", False), ("bf16", False), ("bf16", True))


def product_rate(device: torch.device, n: int) -> float:
    """Floating-point operations a second of an n × n product in bf16."""
    a = torch.randn(n, n, device=device, dtype=torch.bfloat16)
    return 2 * n**3 / seconds(lambda: a @ a, device, quick=False)


def seconds(call: Callable[[], object], device: torch.device, quick: bool) -> float:
    """Seconds of a call, the mean of some after a warm-up."""

    def wait() -> None:
        if device.type == "cuda":
            torch.cuda.synchronize(device)

    n = 1 if quick else 10
    for _ in range(n):
        call()
    wait()
    began = time.perf_counter()
    for _ in range(n):
        call()
    wait()
    return (time.perf_counter() - began) / n


def jpegs(device: torch.device, quick: bool) -> Iterator[Check]:
    """JPEGs of 500 × 375 pixels a second, decoded by CPU threads and by the GPU."""
    n = 16 if quick else 512
    noise = torch.rand(8, 3, 24, 32)
    smooth = torch.nn.functional.interpolate(noise, (375, 500), mode="bicubic").clamp(0, 1)
    encoded = [encode_jpeg((image * 255).to(torch.uint8), 90) for image in smooth]
    files = [encoded[i % 8] for i in range(n)]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        rate = n / seconds(lambda: list(pool.map(decode_jpeg, files)), torch.device("cpu"), quick)
    yield f"JPEGs decoded by {os.cpu_count()} CPU threads", f"{rate:,.0f} images/s", None
    if device.type == "cuda":
        rate = n / seconds(lambda: decode_jpeg(files, device=device), device, quick)
        yield "JPEGs decoded by the GPU", f"{rate:,.0f} images/s", None


if __name__ == "__main__":
    main()
