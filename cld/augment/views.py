"""Random views of whole batches of uint8 images, on the images' device, each sample with its own parameters.

The operations are torchvision's (``transforms.v2`` on float images), with the same distributions of their
parameters: RandomResizedCrop (bilinear, antialiased as PIL does), RandomHorizontalFlip, ColorJitter,
RandAugment, RandomGrayscale, GaussianBlur, RandomSolarize, Normalize, RandomErasing, in this order.
Parameters are drawn on the CPU, so that a generator's state gives the same views on every device. Call them
outside autocast.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial

import numpy as np
import torch
from torch import Generator, Tensor
from torch.nn import functional as F

from cld.augment.colour import HUE, NEUTRAL, colour_jitter_, luma, solarize
from cld.augment.erasing import erase_, sample_rectangles
from cld.augment.per_sample import apply_where_, blend_where_, to_device
from cld.augment.randaugment import apply_operations, draw_operations

CROP_RATIO = (3 / 4, 4 / 3)  # least and most width / height of a crop
CROP_ATTEMPTS = 10  # to draw a crop that lies in the image
CACHED = 2**19  # values that a CPU changes in one go: about what its cache holds
BAND = 16  # output pixels that are resampled together: small matrices, few of whose weights are zero


class Augment:
    """Random views, as the ``augment`` section of a run's configuration describes them.

    Args:
        settings: ``crop_scale`` [least, most] share of the area; ``flip_p``; ``jitter`` [brightness,
            contrast, saturation, hue] strengths as in torchvision's ColorJitter, applied with probability
            ``jitter_p``, each sample's four operations in a random order; ``randaugment``, see
            :func:`cld.augment.randaugment.rand_augment`; ``grayscale_p``; ``blur_p`` and
            ``blur_sigma`` [least, most] in pixels; ``solarize_p``. The blur's kernel reaches three of the
            largest sigmas far. ``blur_p`` and ``solarize_p`` may be lists: one probability for each view.
            ``erasing_p``: a rectangle of the normalised view becomes 0, the channels' mean.
        image_size: height and width of the views.
        mean, std: per RGB channel in [0, 1], for the normalisation.
    """

    def __init__(self, settings: dict, image_size: int, mean: Sequence[float], std: Sequence[float]):
        self.settings = settings
        self.image_size = image_size
        self.mean, self.std = mean, std
        strength = torch.tensor(settings["jitter"], dtype=torch.float32)
        self.neutral = torch.tensor(NEUTRAL)
        self.lowest, self.highest = self.neutral - strength, self.neutral + strength
        self.lowest[:HUE].clamp_(min=0)
        self.blur_radius = min(math.ceil(3 * settings["blur_sigma"][1]), image_size - 1)

    def __call__(self, images: Tensor, generator: Generator) -> Tensor:
        """One random view of each image.

        Args:
            images: uint8 (B, H, W, 3); all first views, then all second views, ….
            generator: of the CPU.

        Returns:
            float32 (B, 3, image_size, image_size), normalised, on the images' device.
        """
        n, height, width, _ = images.shape
        crops = sample_crops(n, height, width, self.settings["crop_scale"], generator)
        flip = _chosen(self.settings["flip_p"], n, generator)

        def start(part: slice) -> Tensor:
            return resized_crop(images[part], crops[part], flip[part], self.image_size)

        return self._views(start, n, images.device, generator)

    def of_crops(self, crops: Tensor, generator: Generator) -> Tensor:
        """Views of crops that are cut out and resized already: the rest of the operations.

        Args:
            crops: uint8 (B, image_size, image_size, 3), in the order of the images of a call.
            generator: of the CPU.

        Returns:
            As a call.
        """
        flip = _chosen(self.settings["flip_p"], len(crops), generator)

        def start(part: slice) -> Tensor:
            views = _to_float(crops[part])
            blend_where_(views, flip[part], lambda each: each.flip(3))  # exactly one or the other
            return views

        return self._views(start, len(crops), crops.device, generator)

    def _views(
        self, start: Callable[[slice], Tensor], n: int, device: torch.device, generator: Generator
    ) -> Tensor:
        """Views of what ``start`` makes of each part of the ``n`` images."""
        changes = self._draw(n, generator)
        if device.type != "cpu":
            return self._changed(start(slice(n)), changes)
        views = torch.empty(n, 3, self.image_size, self.image_size)
        size = max(1, CACHED // views.shape[1:].numel())
        for part in (slice(at, at + size) for at in range(0, n, size)):
            views[part] = self._changed(start(part), {key: each[part] for key, each in changes.items()})
        return views

    def _draw(self, n: int, generator: Generator) -> dict[str, Tensor]:
        """What follows cropping and flipping, for each of ``n`` views, on the CPU."""
        settings = self.settings

        def uniform(low: float | Tensor, high: float | Tensor, *shape: int) -> Tensor:
            return low + (high - low) * torch.rand(shape, generator=generator)

        def chosen(probability: float | Sequence[float]) -> Tensor:
            return _chosen(probability, n, generator)

        factors = uniform(self.lowest, self.highest, n, 4)
        changes = {
            "factors": torch.where(chosen(settings["jitter_p"])[:, None], factors, self.neutral),
            "order": torch.rand(n, 4, generator=generator).argsort(dim=1),
        }
        if settings["randaugment"]["n_ops"]:  # nothing is drawn for a switched-off operation
            changes["operations"] = draw_operations(n, settings["randaugment"]["n_ops"], generator)
        changes["grey"] = chosen(settings["grayscale_p"])
        changes["sigma"] = uniform(*settings["blur_sigma"], n)
        changes["blurred"] = chosen(settings["blur_p"])
        changes["solarised"] = chosen(settings["solarize_p"])
        if settings["erasing_p"]:
            rectangles = sample_rectangles(n, self.image_size, generator)
            changes["erased"] = rectangles * chosen(settings["erasing_p"])[:, None]
        return changes

    def _changed(self, views: Tensor, changes: Mapping[str, Tensor]) -> Tensor:
        """Apply what was drawn, in place where it can be."""
        colour_jitter_(views, changes["factors"], changes["order"])
        if "operations" in changes:
            magnitude = self.settings["randaugment"]["magnitude"]
            views = apply_operations(views, changes["operations"], magnitude)
        blend_where_(views, changes["grey"], luma)
        blur = partial(gaussian_blur, radius=self.blur_radius)
        apply_where_(views, changes["blurred"], blur, changes["sigma"])
        blend_where_(views, changes["solarised"], solarize)
        views = standardise_(views, self.mean, self.std)
        return erase_(views, changes["erased"]) if "erased" in changes else views


def normalise(images: Tensor, mean: Sequence[float], std: Sequence[float], size: int | None = None) -> Tensor:
    """uint8 images (B, H, W, 3) as the views of testing: float32 (B, 3, H, W), normalised.

    Images of another height or width than ``size`` are resized to it.
    """
    n, height, width, _ = images.shape
    if size is None or (height, width) == (size, size):
        return standardise_(_to_float(images), mean, std)
    whole = torch.tensor([0.0, 0.0, height, width]).expand(n, 4)
    return standardise_(resized_crop(images, whole, torch.zeros(n, dtype=torch.bool), size), mean, std)


def sample_crops(n: int, height: int, width: int, scale: Sequence[float], generator: Generator) -> Tensor:
    """Draw ``n`` crops of ``height`` x ``width`` images as torchvision's RandomResizedCrop does.

    Area share uniform in ``scale``, width / height log-uniform in CROP_RATIO, position uniform.

    Returns:
        float32 (n, 4), whole pixels on the CPU: top, left, height, width.
    """
    shape = (n, CROP_ATTEMPTS)
    share = torch.empty(shape).uniform_(*scale, generator=generator)
    ratio = torch.empty(shape).uniform_(*map(math.log, CROP_RATIO), generator=generator).exp_()
    position = torch.rand(n, 2, generator=generator, dtype=torch.float64)  # float32 could round up to 1
    crops = fitting_crops(height, width, share.numpy(), ratio.numpy(), position.numpy())
    return torch.from_numpy(crops.astype(np.float32))


def fitting_crops(
    height: int, width: int, share: np.ndarray, ratio: np.ndarray, position: np.ndarray
) -> np.ndarray:
    """Crops of ``height`` x ``width`` images: of each one's attempts the first that lies in the image.

    If none does, it is the largest central crop within CROP_RATIO.

    Args:
        share, ratio: (n, attempts), of the image's area, and width / height.
        position: (n, 2) in [0, 1), top and left among the places where the crop lies in the image.

    Returns:
        int64 (n, 4): top, left, height, width in pixels.
    """
    area = share * (height * width)
    sides = np.stack([np.sqrt(area / ratio), np.sqrt(area * ratio)], axis=2).round()  # n, attempts, 2
    fits = ((sides >= 1) & (sides <= (height, width))).all(axis=2)
    first = fits.argmax(axis=1)
    sides = sides[np.arange(len(sides)), first]
    crops = np.concatenate([position * ((height, width) - sides + 1), sides], axis=1).astype(np.int64)
    if not fits.any(axis=1).all():
        low, high = CROP_RATIO
        central_h, central_w = min(height, round(width / low)), min(width, round(height * high))
        central = [(height - central_h) // 2, (width - central_w) // 2, central_h, central_w]
        crops[~fits.any(axis=1)] = central
    return crops


def resized_crop(images: Tensor, crops: Tensor, flip: Tensor, size: int) -> Tensor:
    """Cut out each image's crop, resize it bilinearly with antialiasing, and mirror it where ``flip`` says.

    Args:
        images: uint8 (B, H, W, 3).
        crops: (B, 4) on the CPU: top, left, height, width.
        flip: bool (B,) on the CPU.
        size: height and width of the result.

    Returns:
        float32 (B, 3, size, size) in [0, 1].
    """
    n, height, width, _ = images.shape
    # Resampling is linear and separable: matrices over the rows and over the columns of each image, in bands.
    pixels, weights = _bands(crops.T.view(2, 2, n), flip, (height, width), size, images.device)
    n_bands, n_outputs, n_inputs = weights.shape[2:]
    image = torch.arange(n, device=images.device)[:, None, None]
    rows = images.reshape(n * height, width * 3).index_select(0, (image * height + pixels[0]).flatten())
    out = rows.view(n * n_bands, n_inputs, width * 3).float().mT @ weights[0].div(255).flatten(0, 1).mT
    out = out.view(n * n_bands * width, 3 * n_outputs)  # every column of every band of rows
    band = torch.arange(n * n_bands, device=images.device).view(n, n_bands, 1, 1)
    out = out.index_select(0, (band * width + pixels[1][:, None]).flatten())
    across = weights[1][:, None].expand(-1, n_bands, -1, -1, -1).flatten(0, 2)
    out = out.view(len(across), n_inputs, 3 * n_outputs).mT @ across.mT
    out = out.view(n, n_bands, n_bands, 3, n_outputs, n_outputs).permute(0, 3, 1, 4, 2, 5)
    return out.reshape(n, 3, n_bands * n_outputs, -1)[..., :size, :size]


def _bands(
    regions: Tensor, flip: Tensor, n_in: tuple[int, int], n_out: int, device: torch.device
) -> tuple[Tensor, Tensor]:
    """Matrices that resample a region's rows or columns: the bands in which they are not zero.

    Triangular filter, stretched when it shrinks the image (antialiasing) and cut at the region's edges. A
    band makes BAND output pixels of the input pixels that they depend on.

    Args:
        regions: (2, 2, B) on the CPU: top and left, height and width.
        flip: bool (B,), whether the columns are mirrored.
        n_in: rows and columns of the images.
        n_out: rows and columns of the result.

    Returns:
        Input pixels int64 (2, B, bands, inputs), of rows and of columns, and weights float32 (2, B, bands,
        outputs, inputs); the last outputs may be more than asked for, and undefined.
    """
    n_bands = -(-n_out // BAND)
    n_outputs = -(-n_out // n_bands)
    largest = max(n_in) / n_out
    n_inputs = min(max(n_in), math.ceil((n_outputs - 1) * largest + 2 * max(largest, 1)) + 1)

    start, length = regions[..., None].double()  # 2, B, 1
    last = torch.tensor(n_in).view(2, 1, 1) - 1
    scale = length / n_out
    reach = scale.clamp(min=1)
    mirrored = torch.stack([torch.zeros_like(flip), flip])[..., None]
    pitch = torch.where(mirrored, -scale, scale)  # from an output pixel to the next
    begin = torch.where(mirrored, start + length, start) + pitch * (torch.arange(n_bands) * n_outputs + 0.5)
    lowest = torch.minimum(begin, begin + pitch * (n_outputs - 1)) - reach
    first = lowest.floor().minimum(last + 1 - n_inputs).clamp(min=0)  # 2, B, bands
    parameters = torch.stack(
        torch.broadcast_tensors(
            first, begin - first, pitch, -1 / reach, start - first, start + length - first
        )
    )
    parameters = to_device(device, parameters.float())[..., None]
    first, begin, pitch, slope, low, high = parameters

    pixel = torch.arange(n_inputs, device=device)
    inside = (pixel + 0.5 > low) & (pixel + 0.5 < high)  # 2, B, bands, inputs
    centre = begin + pitch * torch.arange(n_outputs, device=device)  # 2, B, bands, outputs
    distance = ((pixel + 0.5) - centre[..., None]).abs_()
    weights = distance.mul_(slope[..., None]).add_(1).clamp_(min=0).mul_(inside[..., None, :])
    pixels = (first + pixel).minimum(to_device(device, last)[..., None]).long()
    return pixels, weights.div_(weights.sum(dim=4, keepdim=True))


def gaussian_blur(images: Tensor, sigma: Tensor, radius: int) -> Tensor:
    """Blur ``images`` (B, 3, S, S) with Gaussians of ``sigma`` (B,) pixels, cut at ``radius`` pixels.

    Beyond the edges the image is mirrored; ``radius`` is below S.
    """
    size = images.shape[-1]
    offset = torch.arange(-radius, radius + 1, device=images.device)
    kernel = (-0.5 * (offset / to_device(images.device, sigma)[:, None]) ** 2).exp_()  # (B, taps)
    kernel.div_(kernel.sum(dim=1, keepdim=True))
    source = torch.arange(size, device=images.device)[:, None] + offset  # (S, taps), reflected into the image
    source = (size - 1) - ((size - 1) - source.abs()).abs()
    taps = F.one_hot(source, size).to(images.dtype)  # (S, taps, S)
    matrix = torch.einsum("bt,itj->bij", kernel, taps)[:, None]
    return matrix @ images @ matrix.transpose(2, 3)


def _chosen(probability: float | Sequence[float], n: int, generator: Generator) -> Tensor:
    """Which of ``n`` views an operation changes, bool (n,); ``probability`` for all, or for each view."""
    by_view = torch.tensor(probability).reshape(-1, 1)  # V or 1, 1
    return (torch.rand(len(by_view), n // len(by_view), generator=generator) < by_view).flatten()


def _to_float(images: Tensor) -> Tensor:
    return images.permute(0, 3, 1, 2).to(torch.float32, memory_format=torch.contiguous_format).div_(255)


def standardise_(images: Tensor, mean: Sequence[float], std: Sequence[float]) -> Tensor:
    """Normalise images (B, 3, H, W) in place by each channel's mean and deviation."""
    mean, std = to_device(images.device, torch.tensor([mean, std], dtype=torch.float32))[..., None, None]
    return images.sub_(mean).div_(std)
