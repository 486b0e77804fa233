"""Flips and crops: each image by its own, all of them equally often, nothing but what was there."""

import torch

from rotvar.training.flips_and_crops import PADDING, flip_and_crop


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def crops(image: torch.Tensor) -> dict[tuple[bool, int, int], torch.Tensor]:
    """All that can become of an image, C x H x W: mirrored or not, shifted down and right."""
    found = {}
    height, width = image.shape[1:]
    for mirrored in (False, True):
        source = image.flip(-1) if mirrored else image
        padded = torch.zeros(len(image), height + 2 * PADDING, width + 2 * PADDING, dtype=image.dtype)
        padded[:, PADDING : PADDING + height, PADDING : PADDING + width] = source
        for down in range(2 * PADDING + 1):
            for right in range(2 * PADDING + 1):
                found[mirrored, down, right] = padded[:, down : down + height, right : right + width]
    return found


def test_each_image_is_one_of_its_crops_and_all_are_taken():
    image = torch.randint(1, 256, (2, 12, 10), generator=generator(), dtype=torch.uint8)
    possible = crops(image)
    changed = flip_and_crop(image.expand(4000, -1, -1, -1), generator(1))
    assert changed.shape == (4000, 2, 12, 10) and changed.dtype == torch.uint8
    count = dict.fromkeys(possible, 0)
    for one in changed:
        # mirrored differs from shifted for this image, so that there is exactly one answer
        (taken,) = [which for which, crop in possible.items() if torch.equal(crop, one)]
        count[taken] += 1
    assert all(count.values())  # 4000 / 162 = 25 expected, 5 standard deviations above 0
    assert 0.45 < sum(n for (mirrored, _, _), n in count.items() if mirrored) / 4000 < 0.55


def test_images_of_a_batch_are_changed_independently():
    image = torch.randint(1, 256, (1, 1, 16, 16), generator=generator(), dtype=torch.uint8)
    changed = flip_and_crop(image.expand(50, -1, -1, -1), generator())
    assert len({one.numpy().tobytes() for one in changed}) > 30


def test_the_same_generator_gives_the_same_changes():
    images = torch.rand(8, 3, 16, 16, generator=generator())
    assert torch.equal(flip_and_crop(images, generator(3)), flip_and_crop(images, generator(3)))
    assert not torch.equal(flip_and_crop(images, generator(3)), flip_and_crop(images, generator(4)))
