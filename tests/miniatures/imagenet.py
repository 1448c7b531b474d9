"""ImageNet validation as torchvision's ImageFolder reads it: val/n01440764/ILSVRC2012_val_00000293.JPEG, one folder for
each of 1,000 WordNet ids (https://pytorch.org/vision/stable/generated/torchvision.datasets.ImageNet.html)."""
from miniatures import images

CLASSES = 1000


def write(folder, pictures=40):
    """1,000 folders, of which `pictures` hold an image each, two at every tenth."""
    for label in range(CLASSES):
        (folder / f"val/n{1440764 + 17 * label:08d}").mkdir(parents=True)
    number = 0
    for label in range(0, CLASSES, CLASSES // pictures):
        for _ in range(2 if label % 10 == 0 else 1):
            number += 1
            images.write(folder / f"val/n{1440764 + 17 * label:08d}/ILSVRC2012_val_{number:08d}.JPEG", number)
    return folder
