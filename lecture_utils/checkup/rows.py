"""Which image each code belongs to that the decoder is given: an image may have several."""

import torch


def image_of_rows(
    z: torch.Tensor, mu: torch.Tensor, together: bool | None = None
) -> torch.Tensor | None:
    """Return the image of each code in z, [L B], for mu [B, ...]; None if shapes do not tell.

    z is [B, ...], [L, B, ...], [B, L, ...], [L B, ...] or [B L, ...]; codes are counted in the
    order in which they lie in z. Where shapes leave two orders, as flattened ones and L = B do, it
    is the one that `together` names: whether the codes of an image lie together. If that is not
    known, it is the one in which the codes lie nearer to their means.
    """
    orders = _orders(z, mu)
    if not orders:
        return None
    return orders[together if together in orders else lie_together(z, mu)]


def lie_together(z: torch.Tensor, mu: torch.Tensor) -> bool:
    """Return whether the codes of an image lie together in z: so that they are nearer to their
    means. False where shapes do not tell."""
    orders = _orders(z, mu)
    return min(orders, key=lambda together: _distance(z, mu, orders[together]), default=False)


def in_doubt(z: torch.Tensor, mu: torch.Tensor) -> bool:
    """Return whether the shapes leave two orders of the codes."""
    orders = [*_orders(z, mu).values()]
    return len(orders) == 2 and not torch.equal(*orders)


def _orders(z, mu):
    """The orders that shapes allow: {whether the codes of an image lie together: images}."""
    images, found = torch.arange(len(mu), device=z.device), {}
    if z.dim() == mu.dim() + 1:
        if z.shape[1] == len(mu):
            found[False] = images.repeat(len(z))
        if len(z) == len(mu) and z.shape[2:] == mu.shape[1:]:
            found[True] = images.repeat_interleave(z.shape[1])
    if not found and len(z) % len(mu) == 0:
        n_samples = len(z) // len(mu)
        found = {False: images.repeat(n_samples), True: images.repeat_interleave(n_samples)}
    return found


def _distance(z, mu, rows):
    codes, means = z.reshape(len(rows), -1), mu.flatten(1)[rows]
    width = min(codes.shape[1], means.shape[1])  # a label may stand behind the code
    return (codes[:, :width] - means[:, :width]).square().sum().item()


def by_image(values: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
    """Sort values of codes by image: [L B, ...] -> [B, L, ...]."""
    return values[rows.argsort(stable=True)].unflatten(0, (int(rows.max()) + 1, -1))


def neighbours(z: torch.Tensor, rows: torch.Tensor | None) -> torch.Tensor:
    """Give each image the codes of the image before it."""
    if rows is None:
        return z.roll(1, 0)
    own = by_image(torch.arange(len(rows), device=z.device), rows)
    source = torch.empty_like(rows)
    source[own.flatten()] = own.roll(1, 0).flatten()
    return z.reshape(len(rows), -1)[source].reshape(z.shape)


def part(values: torch.Tensor, rows: torch.Tensor, cut: slice) -> torch.Tensor:
    """Return what belongs to the images in `cut`, as it would come for a batch of these alone.

    Values are [L B, ...], or the samples have an axis of their own, beside that of the images.
    """
    n_images = int(rows.max()) + 1
    n_samples, kept = len(rows) // n_images, (rows >= cut.start) & (rows < cut.stop)
    if len(values) == len(rows):
        return values[kept]
    fewer = values.flatten(0, 1)[kept]
    behind = rows[0] == rows[1] if n_samples > 1 else len(values) == n_images
    return fewer.unflatten(0, (-1, n_samples) if behind else (n_samples, -1))
