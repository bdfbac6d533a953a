"""NPID + CLD in a training loop of your own, in plain PyTorch: put in your images and network."""

import torch
from torch import nn
from torch.nn import functional as F
from torchvision.models import resnet18
from torchvision.transforms import v2

from cld.clustering import spherical_kmeans
from cld.losses import cross_level_loss
from cld.memory import MemoryBank

images = torch.randint(0, 256, (512, 3, 32, 32), dtype=torch.uint8)
augment = v2.Compose(
    [v2.RandomResizedCrop(32, (0.2, 1.0)), v2.RandomHorizontalFlip(), v2.ToDtype(torch.float32, True)]
)
backbone = resnet18()
backbone.fc = nn.Identity()
head, group_head = nn.Linear(512, 128), nn.Linear(512, 128)  # instance features; group features
bank = MemoryBank(len(images), 128, momentum=0.5)
network = nn.ModuleList([backbone, head, group_head])
optimiser = torch.optim.SGD(network.parameters(), lr=0.03, momentum=0.9, weight_decay=1e-4)

for step in range(10):
    index = torch.randperm(len(images))[:128]  # a batch, in two views
    views = [torch.stack([augment(image) for image in images[index]]) for _ in range(2)]
    features = [backbone(view) for view in views]
    instances = [F.normalize(head(f), dim=1) for f in features]
    groups = [F.normalize(group_head(f), dim=1) for f in features]
    labels, centroids = spherical_kmeans(torch.stack(groups), n_groups=32, n_iters=5)
    instance_loss, *_ = bank.loss(torch.cat(instances), index.repeat(2), temperature=0.1)
    cld_loss = cross_level_loss(*groups, *labels, *centroids, temperature=0.2)
    optimiser.zero_grad()
    (instance_loss + 0.25 * cld_loss).backward()
    optimiser.step()
    for f in instances:
        bank.update(f.detach(), index)
    print(f"step {step}: instance loss {instance_loss.item():.3f}, cross-level loss {cld_loss.item():.3f}")
