"""NPID + CLD with PyTorch Lightning: put in your images and network."""

import lightning
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset
from torchvision.models import resnet18
from torchvision.transforms import v2

from cld.clustering import spherical_kmeans
from cld.losses import cross_level_loss
from cld.memory import MemoryBank


class TwoViews(Dataset):
    """Two random views of each image, and which image it is."""

    def __init__(self, images: Tensor):
        self.images = images
        crop = [v2.RandomResizedCrop(32, (0.2, 1.0)), v2.RandomHorizontalFlip()]
        self.augment = v2.Compose([*crop, v2.ToDtype(torch.float32, True)])

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, i: int) -> tuple[Tensor, Tensor, int]:
        return self.augment(self.images[i]), self.augment(self.images[i]), i


class NPIDWithCLD(lightning.LightningModule):
    def __init__(self, n_images: int):
        super().__init__()
        self.backbone = resnet18()
        self.backbone.fc = nn.Identity()
        self.head, self.group_head = nn.Linear(512, 128), nn.Linear(512, 128)
        self.bank = MemoryBank(n_images, 128, momentum=0.5)

    def training_step(self, batch: tuple[Tensor, Tensor, Tensor], step: int) -> Tensor:
        *views, index = batch
        features = [self.backbone(view) for view in views]
        instances = [F.normalize(self.head(f), dim=1) for f in features]
        groups = [F.normalize(self.group_head(f), dim=1) for f in features]
        labels, centroids = spherical_kmeans(torch.stack(groups), n_groups=32, n_iters=5)
        instance_loss, *_ = self.bank.loss(torch.cat(instances), index.repeat(2), temperature=0.1)
        cld_loss = cross_level_loss(*groups, *labels, *centroids, temperature=0.2)
        self.log_dict({"instance_loss": instance_loss, "cld_loss": cld_loss}, prog_bar=True)
        self.seen = torch.stack(instances).detach(), index
        return instance_loss + 0.25 * cld_loss

    def on_train_batch_end(self, *_: object) -> None:
        instances, index = self.seen
        for f in instances:  # after the backward pass, which needs the bank as it was
            self.bank.update(f, index)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.03, momentum=0.9, weight_decay=1e-4)


if __name__ == "__main__":
    images = torch.randint(0, 256, (512, 3, 32, 32), dtype=torch.uint8)
    loader = DataLoader(TwoViews(images), batch_size=128, shuffle=True, drop_last=True)
    trainer = lightning.Trainer(max_epochs=2, log_every_n_steps=1, logger=False, enable_checkpointing=False)
    trainer.fit(NPIDWithCLD(len(images)), loader)
    print({name: round(value.item(), 3) for name, value in trainer.logged_metrics.items()})
