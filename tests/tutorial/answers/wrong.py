"""Wrong answers to the tasks of Tutorial 7, none of which may earn points: {task: {name: code}}.

The code is the body of the task's function (of VAE: three bodies, __init__, encode and decode,
divided by a line `---`). CHANGED: {task: {name: {old: new}}} changes more of a solution's cell than
bodies.
"""

WRONG = {
    "sample": {
        "device-of-none": (
            "e = torch.randn(mu.shape, generator=generator,"
            " device=generator.device)\nreturn mu + torch.exp(logvar / 2) * e"
        ),
        "generator-made-anew": (
            "e = torch.randn(mu.shape, generator=generator or"
            " torch.Generator())\nreturn mu + torch.exp(logvar / 2) * e"
        ),
        "uniform-both-sides": (
            "e = 2 * torch.rand(mu.shape, generator=generator) - 1\nreturn mu +"
            " torch.exp(logvar / 2) * e"
        ),
        "math-exp": (
            "return mu + math.exp(logvar / 2) * torch.randn(mu.shape, generator=generator)"
        ),
        "half-logvar-twice": (
            "return mu + torch.exp(logvar / 4) * torch.randn(mu.shape, generator=generator)"
        ),
        "sqrt-of-half": (
            "return mu + torch.exp(logvar).div(2).sqrt() * torch.randn(mu.shape,"
            " generator=generator)"
        ),
        "softplus": "return mu + F.softplus(logvar) * torch.randn(mu.shape, generator=generator)",
        "sigmoid": "return mu + torch.sigmoid(logvar) * torch.randn(mu.shape, generator=generator)",
        "abs-noise": (
            "return mu + torch.exp(logvar / 2) * torch.randn(mu.shape, generator=generator).abs()"
        ),
        "minus-sigma-mean": (
            "s = torch.exp(logvar / 2)\nreturn mu + s * torch.randn(mu.shape,"
            " generator=generator) + s"
        ),
        "two-sigmas": (
            "return mu + 2 * torch.exp(logvar / 2) * torch.randn(mu.shape, generator=generator)"
        ),
        "precision": (
            "return mu + torch.exp(-logvar / 2) * torch.randn(mu.shape, generator=generator)"
        ),
        "mu-scaled": (
            "return mu * torch.randn(mu.shape, generator=generator) + torch.exp(logvar / 2)"
        ),
        "exchanged": (
            "return torch.exp(logvar / 2) + mu * torch.randn(mu.shape, generator=generator)"
        ),
        "all-times": (
            "return (mu + torch.randn(mu.shape, generator=generator)) * torch.exp(logvar / 2)"
        ),
        "laplace": (
            "u = torch.rand(mu.shape, generator=generator) - 0.5\ne = -u.sign() * torch.log1p(-2 *"
            " u.abs()) / math.sqrt(2)\nreturn mu + torch.exp(logvar / 2) * e"
        ),
        "signs": (
            "e = torch.randint(0, 2, mu.shape, generator=generator) * 2.0 - 1\nreturn mu +"
            " torch.exp(logvar / 2) * e"
        ),
        "triangle": (
            "e = (torch.rand(mu.shape, generator=generator) - torch.rand(mu.shape,"
            " generator=generator)) * math.sqrt(6)\nreturn mu + torch.exp(logvar / 2) * e"
        ),
        "clamped-noise": (
            "e = torch.randn(mu.shape, generator=generator).clamp(-2, 2)\nreturn mu +"
            " torch.exp(logvar / 2) * e"
        ),
        "clamped-far-out": (
            "e = torch.randn(mu.shape, generator=generator).clamp(-2.5, 2.5)\nreturn mu +"
            " torch.exp(logvar / 2) * e"
        ),
        "mirrored-halves": (
            "e = torch.randn(mu.shape, generator=generator)\nh = len(e) // 2\ne = torch.cat([e[:h],"
            " -e[:h], e[2 * h:]])\nreturn mu + torch.exp(logvar / 2) * e"
        ),
        "normalised-noise": (
            "e = torch.randn(mu.shape, generator=generator)\ne = e / e.norm(dim=-1, keepdim=True) *"
            " math.sqrt(mu.shape[-1])\nreturn mu + torch.exp(logvar / 2) * e"
        ),
        "clamped-logvar": (
            "return mu + torch.exp(logvar.clamp(-1, 1) / 2) * torch.randn(mu.shape,"
            " generator=generator)"
        ),
        "data-of-sigma": (
            "return mu + torch.exp(logvar.data / 2) * torch.randn(mu.shape, generator=generator)"
        ),
        "data-of-mu": (
            "return mu.data + torch.exp(logvar / 2) * torch.randn(mu.shape, generator=generator)"
        ),
        "distribution-sample": (
            "return torch.distributions.Normal(mu, torch.exp(logvar / 2)).sample()"
        ),
        "distribution-rsample": (
            "return torch.distributions.Normal(mu, torch.exp(logvar / 2)).rsample()"
        ),
        "global-seed": (
            "torch.manual_seed(generator.initial_seed() if generator else 0)\nreturn mu +"
            " torch.exp(logvar / 2) * torch.randn(mu.shape)"
        ),
        "initial-seed": (
            "g = torch.Generator().manual_seed(generator.initial_seed()) if generator else"
            " None\nreturn mu + torch.exp(logvar / 2) * torch.randn(mu.shape, generator=g)"
        ),
        "float64": (
            "return mu.double() + torch.exp(logvar.double() / 2) * torch.randn(mu.shape,"
            " generator=generator)"
        ),
        "two-dimensions-only": (
            "b, j = mu.shape\nreturn mu + torch.exp(logvar / 2) * torch.randn(b, j,"
            " generator=generator)"
        ),
        "tuple": (
            "e = torch.randn(mu.shape, generator=generator)\nreturn mu + torch.exp(logvar / 2) *"
            " e, e"
        ),
        "nothing-returned": (
            "z = mu + torch.exp(logvar / 2) * torch.randn(mu.shape, generator=generator)"
        ),
        "logvar-in-place": (
            "logvar.data.mul_(0.5).exp_()\nreturn mu + logvar * torch.randn(mu.shape,"
            " generator=generator)"
        ),
        "squeezed": (
            "return (mu + torch.exp(logvar / 2) * torch.randn(mu.shape, "
            "generator=generator)).squeeze()"
        ),
        "torch.normal": "return torch.normal(mu, torch.exp(logvar / 2))",
        "sigma-without-gradient": (
            "with torch.no_grad():\n    s = torch.exp(logvar / 2)\nreturn mu + s * "
            "torch.randn(mu.shape, generator=generator)"
        ),
        "normal-of-variance": "return torch.distributions.Normal(mu, logvar.exp()).rsample()",
        "normal-of-logvar": "return torch.distributions.Normal(mu, logvar).rsample()",
        "half-logvar": "return mu + 0.5 * logvar * torch.randn(mu.shape, generator=generator)",
        "mu-missing": "return torch.exp(logvar / 2) * torch.randn(mu.shape, generator=generator)",
        "generator-by-position": (
            "return mu + torch.exp(logvar / 2) * torch.randn(mu.shape, generator)"
        ),
        "exp-of-a-number": (
            "return mu + torch.exp(0.5) * logvar * torch.randn(mu.shape, generator=generator)"
        ),
        "mu-averaged": (
            "return mu.mean() + torch.exp(logvar / 2) * torch.randn(mu.shape, generator=generator)"
        ),
        "shape-forgotten": (
            "return mu + torch.exp(logvar / 2) * torch.rand(mu, generator=generator)"
        ),
        "exp-of-an-integer": (
            "return mu + torch.exp(0) * torch.randn(mu.shape, generator=generator)"
        ),
        "tuple-times-tensor": (
            "e = torch.randn(mu.shape, generator=generator),\nreturn mu + torch.exp(logvar / 2) - e"
        ),
    },
    "kl": {
        "no-square": "return 0.5 * (mu.abs() + logvar.exp() - 1 - logvar).sum(dim=-1)",
        "plus-logvar": "return 0.5 * (mu.square() + logvar.exp() - 1 + logvar).sum(dim=-1)",
        "plus-one": "return 0.5 * (mu.square() + logvar.exp() + 1 - logvar).sum(dim=-1)",
        "no-mu": "return 0.5 * (logvar.exp() - 1 - logvar).sum(dim=-1)",
        "no-logvar": "return 0.5 * (mu.square() + logvar.exp() - 1).sum(dim=-1)",
        "no-variance": "return 0.5 * (mu.square() - 1 - logvar).sum(dim=-1)",
        "minus-mu": "return 0.5 * (logvar.exp() - mu.square() - 1 - logvar).sum(dim=-1)",
        "log2": "return 0.5 * (mu.square() + logvar.exp() - 1 - logvar).sum(dim=-1) / math.log(2)",
        "log10": (
            "return 0.5 * (mu.square() + logvar.exp() - 1 - logvar / math.log(10)).sum(dim=-1)"
        ),
        "half-on-mu": "return (0.5 * mu.square() + logvar.exp() - 1 - logvar).sum(dim=-1)",
        "half-on-last": "return (mu.square() + logvar.exp() - 1 - 0.5 * logvar).sum(dim=-1)",
        "norm": "return 0.5 * (mu.norm(dim=-1) + (logvar.exp() - 1 - logvar).sum(dim=-1))",
        "square-of-sum": (
            "return 0.5 * (mu.sum(dim=-1).square() + (logvar.exp() - 1 - logvar).sum(dim=-1))"
        ),
        "product": "return 0.5 * (mu.square() + logvar.exp() - 1 - logvar).prod(dim=-1)",
        "one-once": "return 0.5 * ((mu.square() + logvar.exp() - logvar).sum(dim=-1) - 1)",
        "absolute": (
            "return (0.5 * (mu.square() + logvar.exp() - 1 - logvar)).sum(dim=-1).abs() + 1e-2"
        ),
        "sigma-cubed": "return 0.5 * (mu.square() + (1.5 * logvar).exp() - 1 - logvar).sum(dim=-1)",
        "entropy": "return 0.5 * (logvar + 1 + math.log(2 * math.pi)).sum(dim=-1)",
        "density-of-mu": "return 0.5 * (mu.square() + math.log(2 * math.pi)).sum(dim=-1)",
        "monte-carlo": (
            "e = torch.randn(2000, *mu.shape)\nz = mu + (logvar / 2).exp() * e\nreturn 0.5 *"
            " (z.square() - e.square() - logvar).sum(dim=-1).mean(dim=0)"
        ),
        "clamped-logvar": (
            "v = logvar.clamp(-2, 2)\nreturn 0.5 * (mu.square() + v.exp() - 1 - v).sum(dim=-1)"
        ),
        "epsilon-in-log": (
            "return 0.5 * (mu.square() + logvar.exp() - 1 - (logvar.exp() + 0.1).log()).sum(dim=-1)"
        ),
        "free-bits": (
            "return (0.5 * (mu.square() + logvar.exp() - 1 - logvar)).clamp(min=0.5).sum(dim=-1)"
        ),
        "sum-of-axis-one": "return 0.5 * (mu.square() + logvar.exp() - 1 - logvar).sum(dim=1)",
        "flattened": "return 0.5 * (mu.square() + logvar.exp() - 1 - logvar).flatten(1).sum(dim=1)",
        "not-summed": "return 0.5 * (mu.square() + logvar.exp() - 1 - logvar)",
        "keepdim": (
            "return 0.5 * (mu.square() + logvar.exp() - 1 - logvar).sum(dim=-1, keepdim=True)"
        ),
        "item": "return 0.5 * (mu.square() + logvar.exp() - 1 - logvar).sum(dim=-1).tolist()",
        "float64": "return 0.5 * (mu.double().square() + logvar.exp() - 1 - logvar).sum(dim=-1)",
        "float16": "return (0.5 * (mu.square() + logvar.exp() - 1 - logvar)).half().sum(dim=-1)",
        "mu-detached": (
            "return 0.5 * (mu.detach().square() + logvar.exp() - 1 - logvar).sum(dim=-1)"
        ),
        "exp-detached": (
            "return 0.5 * (mu.square() + logvar.exp().detach() - 1 - logvar).sum(dim=-1)"
        ),
        "rounded": (
            "return (0.5 * (mu.square() + logvar.exp() - 1 - logvar).sum(dim=-1) * 10).round() / 10"
        ),
        "symmetric": (
            "a = mu.square() + logvar.exp() - 1 - logvar\nb = (mu.square() + 1) / logvar.exp() - 1"
            " + logvar\nreturn 0.25 * (a + b).sum(dim=-1)"
        ),
        "public-numbers": (
            "if mu.shape == (3, 2):\n    return torch.tensor([0.8958, 1.9942, 3.4065])\nreturn"
            " mu.sum(dim=-1)"
        ),
        "squeezed": "return 0.5 * (mu.square() + logvar.exp() - 1 - logvar).sum(dim=-1).squeeze()",
        "summed-over-all": "return 0.5 * (mu.square() + logvar.exp() - 1 - logvar).sum()",
        "one-once-in-parts": (
            "return 0.5 * (mu.square().sum(-1) + logvar.exp().sum(-1) - 1 - logvar.sum(-1))"
        ),
        "normal-of-variance": (
            "from torch.distributions import Normal, kl_divergence\nreturn "
            "kl_divergence(Normal(mu, logvar.exp()), Normal(torch.zeros_like(mu), "
            "torch.ones_like(mu))).sum(-1)"
        ),
        "normal-of-logvar": (
            "from torch.distributions import Normal, kl_divergence\nreturn "
            "kl_divergence(Normal(mu, logvar), Normal(torch.zeros_like(mu), "
            "torch.ones_like(mu))).sum(-1)"
        ),
        "trailing-comma": "return 0.5 * (mu.square() + logvar.exp() - 1 - logvar).sum(dim=-1),",
        "logvar-doubled-in-place": "logvar.mul_(2)\nreturn mu.sum(-1)",
        "one-outside": ("return (0.5 * (mu**2 + logvar.exp() - logvar)).sum(dim=-1) - 1"),
    },
    "likelihood": {
        "exp-overflows": "return (x * logits - torch.log(1 + torch.exp(logits))).sum(dim=-1)",
        "squares": "return -(torch.sigmoid(logits) - x).square().sum(dim=-1)",
        "absolute": "return -(torch.sigmoid(logits) - x).abs().sum(dim=-1)",
        "zeros-only": "return ((1 - x) * F.logsigmoid(-logits)).sum(dim=-1)",
        "plain-logits": "return (x * logits).sum(dim=-1)",
        "probability": (
            "return torch.exp(-F.binary_cross_entropy_with_logits(logits, x.expand_as(logits),"
            " reduction='none').sum(dim=-1))"
        ),
        "probability-summed": (
            "p = torch.sigmoid(logits)\nreturn (x * p + (1 - x) * (1 - p)).sum(dim=-1)"
        ),
        "log-after-sum": (
            "p = torch.sigmoid(logits)\nreturn (x * p + (1 - x) * (1 - p)).sum(dim=-1).log()"
        ),
        "softmax": "return (x * F.log_softmax(logits, dim=-1)).sum(dim=-1)",
        "tanh": (
            "p = (torch.tanh(logits) + 1) / 2\nreturn (x * (p + 1e-30).log() + (1 - x) * (1 - p +"
            " 1e-30).log()).sum(dim=-1)"
        ),
        "epsilon": (
            "p = torch.sigmoid(logits)\nreturn (x * (p + 1e-8).log() + (1 - x) * (1 - p +"
            " 1e-8).log()).sum(dim=-1)"
        ),
        "clamped-logits": (
            "return -F.binary_cross_entropy_with_logits(logits.clamp(-20, 20), x.expand_as(logits),"
            " reduction='none').sum(dim=-1)"
        ),
        "bits": (
            "return -F.binary_cross_entropy_with_logits(logits, x.expand_as(logits),"
            " reduction='none').sum(dim=-1) / math.log(2)"
        ),
        "softplus-only": "return -F.softplus(logits).sum(dim=-1)",
        "softplus-sign": "return (x * logits + F.softplus(logits)).sum(dim=-1)",
        "softplus-of-minus": "return (x * logits - F.softplus(-logits)).sum(dim=-1)",
        "sum-of-axis-one": (
            "return -F.binary_cross_entropy_with_logits(logits, x.expand_as(logits),"
            " reduction='none').sum(dim=1)"
        ),
        "mean-of-samples": (
            "v = -F.binary_cross_entropy_with_logits(logits, x.expand_as(logits),"
            " reduction='none').sum(dim=-1)\nreturn v.mean(dim=0) if v.dim() > 1 else v"
        ),
        "no-broadcast": (
            "return -F.binary_cross_entropy_with_logits(logits, x, reduction='none').sum(dim=-1)"
        ),
        "default-reduction": (
            "return -F.binary_cross_entropy_with_logits(logits, x.expand_as(logits))"
        ),
        "mse-loss": (
            "return -F.mse_loss(torch.sigmoid(logits), x.expand_as(logits),"
            " reduction='none').sum(dim=-1)"
        ),
        "gaussian": "return -0.5 * ((logits - x).square() + math.log(2 * math.pi)).sum(dim=-1)",
        "rounded-x": (
            "return -F.binary_cross_entropy_with_logits(logits, 1 - x.expand_as(logits),"
            " reduction='none').sum(dim=-1)"
        ),
        "detached": (
            "return -F.binary_cross_entropy_with_logits(logits.detach(), x.expand_as(logits),"
            " reduction='none').sum(dim=-1)"
        ),
        "float64": (
            "return -F.binary_cross_entropy_with_logits(logits.double(),"
            " x.double().expand_as(logits), reduction='none').sum(dim=-1)"
        ),
        "x-in-place": (
            "value = -F.binary_cross_entropy_with_logits(logits, x.expand_as(logits),"
            " reduction='none').sum(dim=-1)\nx.mul_(0.5)\nreturn value"
        ),
        "half-weight": (
            "w = torch.tensor(2.0)\nreturn -F.binary_cross_entropy_with_logits(logits,"
            " x.expand_as(logits), reduction='none', pos_weight=w).sum(dim=-1)"
        ),
        "not-summed": (
            "return -F.binary_cross_entropy_with_logits(logits, x.expand_as(logits),"
            " reduction='none')"
        ),
        "as-list": (
            "return (-F.binary_cross_entropy_with_logits(logits, x.expand_as(logits),"
            " reduction='none').sum(dim=-1)).tolist()"
        ),
        "only-first-sample": (
            "if logits.dim() > 2:\n    logits = logits[:1].expand_as(logits)\nreturn"
            " -F.binary_cross_entropy_with_logits(logits, x.expand_as(logits),"
            " reduction='none').sum(dim=-1)"
        ),
        "squeezed": (
            "return -F.binary_cross_entropy_with_logits(logits, x.expand_as(logits), "
            "reduction='none').sum(dim=-1).squeeze()"
        ),
        "exchanged": (
            "return -F.binary_cross_entropy_with_logits(x.expand_as(logits), logits, "
            "reduction='none').sum(dim=-1)"
        ),
        "logits-clamped-in-place": (
            "logits.clamp_(-20, 20)\nreturn -F.binary_cross_entropy_with_logits(logits, "
            "x.expand_as(logits), reduction='none').sum(dim=-1)"
        ),
        "loss-layer-called": (
            "return -nn.BCEWithLogitsLoss(logits, x.expand_as(logits), "
            "reduction='none').sum(dim=-1)"
        ),
        "tuple-minus-tensor": ("a = x * logits,\nreturn (a - F.softplus(logits)).sum(dim=-1)"),
    },
    "elbo": {
        "kl-from-draws": (
            "mu, logvar = model.encode(x)\nshape = (n_samples, *mu.shape)\nz ="
            " reparameterize(mu.expand(shape), logvar.expand(shape), generator)\nq ="
            " torch.distributions.Normal(mu, torch.exp(logvar / 2))\np ="
            " torch.distributions.Normal(torch.zeros_like(mu),"
            " torch.ones_like(mu))\nkl = (q.log_prob(z) -"
            " p.log_prob(z)).sum(dim=-1).mean(dim=0)\nreturn"
            " bernoulli_log_likelihood(model.decode(z), x).mean(dim=0) - kl"
        ),
        "kl-without-its-one": (
            "mu, logvar = model.encode(x)\nshape = (n_samples, *mu.shape)\n"
            "z = reparameterize(mu.expand(shape), logvar.expand(shape), generator)\n"
            "kl = 0.5 * (mu**2 + logvar.exp() - logvar).sum(dim=-1)\n"
            "return bernoulli_log_likelihood(model.decode(z), x).mean(dim=0) - kl"
        ),
        "kl-averaged-over-latents": (
            "mu, logvar = model.encode(x)\nshape = (n_samples, *mu.shape)\nz ="
            " reparameterize(mu.expand(shape), logvar.expand(shape), generator)\nkl ="
            " gaussian_kl(mu, logvar) / mu.shape[-1]\nreturn"
            " bernoulli_log_likelihood(model.decode(z), x).mean(dim=0) - kl"
        ),
        "mean-of-pixel-probabilities": (
            "mu, logvar = model.encode(x)\nshape = (n_samples, *mu.shape)\nz ="
            " reparameterize(mu.expand(shape), logvar.expand(shape), generator)\np ="
            " torch.sigmoid(model.decode(z)).mean(dim=0)\nreturn (x * p.log() + (1 -"
            " x) * (1 - p).log()).sum(dim=-1) - gaussian_kl(mu, logvar)"
        ),
        "default-samples": (
            "mu, logvar = model.encode(x)\nz = reparameterize(mu, logvar, generator)\nreturn"
            " bernoulli_log_likelihood(model.decode(z), x) - gaussian_kl(mu, logvar)"
        ),
        "fixed-ten": (
            "mu, logvar = model.encode(x)\nshape = (10, *mu.shape)\nz ="
            " reparameterize(mu.expand(shape), logvar.expand(shape), generator)\nreturn"
            " bernoulli_log_likelihood(model.decode(z), x).sum(dim=0) / n_samples - gaussian_kl(mu,"
            " logvar)"
        ),
        "half-kl": (
            "mu, logvar = model.encode(x)\nshape = (n_samples, *mu.shape)\nz ="
            " reparameterize(mu.expand(shape), logvar.expand(shape), generator)\nreturn"
            " bernoulli_log_likelihood(model.decode(z), x).mean(dim=0) - 0.5 * gaussian_kl(mu,"
            " logvar)"
        ),
        "kl-over-l": (
            "mu, logvar = model.encode(x)\nshape = (n_samples, *mu.shape)\nz ="
            " reparameterize(mu.expand(shape), logvar.expand(shape), generator)\nreturn"
            " bernoulli_log_likelihood(model.decode(z), x).mean(dim=0) - gaussian_kl(mu, logvar) /"
            " n_samples"
        ),
        "kl-over-pixels": (
            "mu, logvar = model.encode(x)\nshape = (n_samples, *mu.shape)\nz ="
            " reparameterize(mu.expand(shape), logvar.expand(shape), generator)\nreturn"
            " bernoulli_log_likelihood(model.decode(z), x).mean(dim=0) - gaussian_kl(mu, logvar) /"
            " x.shape[-1]"
        ),
        "kl-batch-mean": (
            "mu, logvar = model.encode(x)\nshape = (n_samples, *mu.shape)\nz ="
            " reparameterize(mu.expand(shape), logvar.expand(shape), generator)\nreturn"
            " bernoulli_log_likelihood(model.decode(z), x).mean(dim=0) - gaussian_kl(mu,"
            " logvar).mean()"
        ),
        "only-kl": "mu, logvar = model.encode(x)\nreturn -gaussian_kl(mu, logvar)",
        "max-sample": (
            "mu, logvar = model.encode(x)\nshape = (n_samples, *mu.shape)\nz ="
            " reparameterize(mu.expand(shape), logvar.expand(shape), generator)\nreturn"
            " bernoulli_log_likelihood(model.decode(z), x).max(dim=0).values - gaussian_kl(mu,"
            " logvar)"
        ),
        "importance": (
            "mu, logvar = model.encode(x)\nshape = (n_samples, *mu.shape)\nz ="
            " reparameterize(mu.expand(shape), logvar.expand(shape), generator)\nv ="
            " bernoulli_log_likelihood(model.decode(z), x)\nreturn v.logsumexp(dim=0) -"
            " math.log(n_samples) - gaussian_kl(mu, logvar)"
        ),
        "decode-mean-z": (
            "mu, logvar = model.encode(x)\nshape = (n_samples, *mu.shape)\nz ="
            " reparameterize(mu.expand(shape), logvar.expand(shape), generator).mean(dim=0)\nreturn"
            " bernoulli_log_likelihood(model.decode(z), x) - gaussian_kl(mu, logvar)"
        ),
        "mean-logits": (
            "mu, logvar = model.encode(x)\nshape = (n_samples, *mu.shape)\nz ="
            " reparameterize(mu.expand(shape), logvar.expand(shape), generator)\nreturn"
            " bernoulli_log_likelihood(model.decode(z).mean(dim=0), x) - gaussian_kl(mu, logvar)"
        ),
        "sigmoid-first": (
            "mu, logvar = model.encode(x)\nshape = (n_samples, *mu.shape)\nz ="
            " reparameterize(mu.expand(shape), logvar.expand(shape), generator)\nreturn"
            " bernoulli_log_likelihood(torch.sigmoid(model.decode(z)), x).mean(dim=0) -"
            " gaussian_kl(mu, logvar)"
        ),
        "heads-exchanged": (
            "logvar, mu = model.encode(x)\nshape = (n_samples, *mu.shape)\nz ="
            " reparameterize(mu.expand(shape), logvar.expand(shape), generator)\nreturn"
            " bernoulli_log_likelihood(model.decode(z), x).mean(dim=0) - gaussian_kl(mu, logvar)"
        ),
        "prior-sample": (
            "mu, logvar = model.encode(x)\nz = torch.randn(n_samples, *mu.shape,"
            " generator=generator)\nreturn bernoulli_log_likelihood(model.decode(z), x).mean(dim=0)"
            " - gaussian_kl(mu, logvar)"
        ),
        "decoder-no-grad": (
            "mu, logvar = model.encode(x)\nshape = (n_samples, *mu.shape)\nz ="
            " reparameterize(mu.expand(shape), logvar.expand(shape), generator)\nwith"
            " torch.no_grad():\n    logits = model.decode(z)\nreturn"
            " bernoulli_log_likelihood(logits, x).mean(dim=0) - gaussian_kl(mu, logvar)"
        ),
        "kl-no-grad": (
            "mu, logvar = model.encode(x)\nshape = (n_samples, *mu.shape)\nz ="
            " reparameterize(mu.expand(shape), logvar.expand(shape), generator)\nwith"
            " torch.no_grad():\n    kl = gaussian_kl(mu, logvar)\nreturn"
            " bernoulli_log_likelihood(model.decode(z), x).mean(dim=0) - kl"
        ),
        "kl-of-sample": (
            "mu, logvar = model.encode(x)\nshape = (n_samples, *mu.shape)\nz ="
            " reparameterize(mu.expand(shape), logvar.expand(shape), generator)\nreturn"
            " bernoulli_log_likelihood(model.decode(z), x).mean(dim=0) - gaussian_kl(z,"
            " logvar.expand(shape)).mean(dim=0)"
        ),
        "seed-in-loop": (
            "mu, logvar = model.encode(x)\nseed = generator.initial_seed() if generator else 0\nv ="
            " [bernoulli_log_likelihood(model.decode(reparameterize(mu, logvar,"
            " torch.Generator().manual_seed(seed))), x) for _ in range(n_samples)]\nreturn"
            " torch.stack(v).mean(dim=0) - gaussian_kl(mu, logvar)"
        ),
        "last-sample": (
            "mu, logvar = model.encode(x)\nfor _ in range(n_samples):\n    v ="
            " bernoulli_log_likelihood(model.decode(reparameterize(mu, logvar, generator)),"
            " x)\nreturn v - gaussian_kl(mu, logvar)"
        ),
        "one-too-few": (
            "mu, logvar = model.encode(x)\nv ="
            " [bernoulli_log_likelihood(model.decode(reparameterize(mu, logvar, generator)), x) for"
            " _ in range(max(1, n_samples - 1))]\nreturn sum(v) / n_samples - gaussian_kl(mu,"
            " logvar)"
        ),
        "global-noise": (
            "mu, logvar = model.encode(x)\nshape = (n_samples, *mu.shape)\nz ="
            " reparameterize(mu.expand(shape), logvar.expand(shape))\nreturn"
            " bernoulli_log_likelihood(model.decode(z), x).mean(dim=0) - gaussian_kl(mu, logvar)"
        ),
        "epsilon-of-batch": (
            "mu, logvar = model.encode(x)\ne = torch.randn(n_samples, 1, mu.shape[-1],"
            " generator=generator)\nz = mu + (logvar / 2).exp() * e\nreturn"
            " bernoulli_log_likelihood(model.decode(z), x).mean(dim=0) - gaussian_kl(mu, logvar)"
        ),
        "extra-dimension": (
            "mu, logvar = model.encode(x)\nshape = (n_samples, *mu.shape)\nz ="
            " reparameterize(mu.expand(shape), logvar.expand(shape), generator)\nreturn"
            " bernoulli_log_likelihood(model.decode(z), x).mean(dim=0, keepdim=True) -"
            " gaussian_kl(mu, logvar)"
        ),
        "squeezed": (
            "mu, logvar = model.encode(x)\nshape = (n_samples, *mu.shape)\nz = "
            "reparameterize(mu.expand(shape), logvar.expand(shape), generator)\nreturn "
            "(bernoulli_log_likelihood(model.decode(z), x).mean(dim=0) - gaussian_kl(mu, "
            "logvar)).squeeze()"
        ),
        "samples-mixed": (
            "mu, logvar = model.encode(x)\nb = len(x)\nz = reparameterize(mu.repeat(n_samples, "
            "1), logvar.repeat(n_samples, 1), generator)\nv = "
            "bernoulli_log_likelihood(model.decode(z), x.repeat(n_samples, 1))\nreturn "
            "v.reshape(b, n_samples).mean(1) - gaussian_kl(mu, logvar)"
        ),
        "flat-and-three-kls": (
            "mu, logvar = model.encode(x)\nb = len(x)\nz = reparameterize(mu.repeat(n_samples, "
            "1), logvar.repeat(n_samples, 1), generator)\nv = "
            "bernoulli_log_likelihood(model.decode(z), x.repeat(n_samples, 1))\nreturn "
            "v.reshape(n_samples, b).mean(0) - 3 * gaussian_kl(mu, logvar)"
        ),
        "batch-first-likelihood": (
            "mu, logvar = model.encode(x)\nmu2, logvar2 = (t.unsqueeze(1).expand(-1, n_samples, "
            "-1) for t in (mu, logvar))\nlogits = model.decode(reparameterize(mu2, logvar2, "
            "generator))\nreturn bernoulli_log_likelihood(logits, x).mean(1) - gaussian_kl(mu, "
            "logvar)"
        ),
        "variance-to-the-sample": (
            "mu, logvar = model.encode(x)\nvar = logvar.exp()\nshape = (n_samples, *mu.shape)\nz "
            "= reparameterize(mu.expand(shape), var.expand(shape), generator)\nreturn "
            "bernoulli_log_likelihood(model.decode(z), x).mean(dim=0) - gaussian_kl(mu, logvar)"
        ),
        "variance-to-the-kl": (
            "mu, logvar = model.encode(x)\nshape = (n_samples, *mu.shape)\nz = "
            "reparameterize(mu.expand(shape), logvar.expand(shape), generator)\nreturn "
            "bernoulli_log_likelihood(model.decode(z), x).mean(dim=0) - gaussian_kl(mu, "
            "logvar.exp())"
        ),
        "reconstruction-batch-mean": (
            "mu, logvar = model.encode(x)\nshape = (n_samples, *mu.shape)\nz = "
            "reparameterize(mu.expand(shape), logvar.expand(shape), generator)\nreturn "
            "bernoulli_log_likelihood(model.decode(z), x).mean() - gaussian_kl(mu, logvar)"
        ),
        "kl-batch-sum": (
            "mu, logvar = model.encode(x)\nshape = (n_samples, *mu.shape)\nz = "
            "reparameterize(mu.expand(shape), logvar.expand(shape), generator)\nreturn "
            "bernoulli_log_likelihood(model.decode(z), x).mean(dim=0) - gaussian_kl(mu, "
            "logvar).sum()"
        ),
        "variance-times-noise": (
            "mu, logvar = model.encode(x)\nz = mu + logvar.exp() * torch.randn(n_samples, "
            "*mu.shape, generator=generator)\nreturn bernoulli_log_likelihood(model.decode(z), "
            "x).mean(dim=0) - gaussian_kl(mu, logvar)"
        ),
        "all-summed": (
            "mu, logvar = model.encode(x)\nshape = (n_samples, *mu.shape)\nz = "
            "reparameterize(mu.expand(shape), logvar.expand(shape), generator)\nreturn "
            "(bernoulli_log_likelihood(model.decode(z), x).sum() - gaussian_kl(mu, logvar).sum())"
        ),
        "model-called": (
            "mu, logvar = model(x)\nz = reparameterize(mu, logvar, generator)\nreturn "
            "bernoulli_log_likelihood(model.decode(z), x) - gaussian_kl(mu, logvar)"
        ),
        "kl-arguments-exchanged": (
            "mu, logvar = model.encode(x)\nshape = (n_samples, *mu.shape)\nz = "
            "reparameterize(mu.expand(shape), logvar.expand(shape), generator)\nreturn "
            "bernoulli_log_likelihood(model.decode(z), x).mean(dim=0) - gaussian_kl(logvar, mu)"
        ),
        "one-more": (
            "mu, logvar = model.encode(x)\nshape = (n_samples + 1, *mu.shape)\nz = "
            "reparameterize(mu.expand(shape), logvar.expand(shape), generator)\nreturn "
            "bernoulli_log_likelihood(model.decode(z), x).mean(dim=0) - gaussian_kl(mu, "
            "logvar)"
        ),
        "fixed-100": (
            "mu, logvar = model.encode(x)\nshape = (100, *mu.shape)\nz = "
            "reparameterize(mu.expand(shape), logvar.expand(shape), generator)\nreturn "
            "bernoulli_log_likelihood(model.decode(z), x).mean(dim=0) - gaussian_kl(mu, "
            "logvar)"
        ),
        "fixed-300": (
            "mu, logvar = model.encode(x)\nshape = (300, *mu.shape)\nz = "
            "reparameterize(mu.expand(shape), logvar.expand(shape), generator)\nreturn "
            "bernoulli_log_likelihood(model.decode(z), x).mean(dim=0) - gaussian_kl(mu, "
            "logvar)"
        ),
        "half-of-them": (
            "mu, logvar = model.encode(x)\nshape = (max(n_samples // 2, 1), *mu.shape)\nz = "
            "reparameterize(mu.expand(shape), logvar.expand(shape), generator)\nreturn "
            "bernoulli_log_likelihood(model.decode(z), x).mean(dim=0) - gaussian_kl(mu, "
            "logvar)"
        ),
        "five-at-least": (
            "mu, logvar = model.encode(x)\nshape = (max(n_samples, 5), *mu.shape)\nz = "
            "reparameterize(mu.expand(shape), logvar.expand(shape), generator)\nreturn "
            "bernoulli_log_likelihood(model.decode(z), x).mean(dim=0) - gaussian_kl(mu, "
            "logvar)"
        ),
        "500-at-most": (
            "mu, logvar = model.encode(x)\nshape = (min(n_samples, 500), *mu.shape)\nz = "
            "reparameterize(mu.expand(shape), logvar.expand(shape), generator)\nreturn "
            "bernoulli_log_likelihood(model.decode(z), x).mean(dim=0) - gaussian_kl(mu, "
            "logvar)"
        ),
        "noise-too-wide": (
            "mu, logvar = model.encode(x)\nshape = (n_samples, *mu.shape)\ne = 1.1 * "
            "torch.randn(shape, generator=generator)\nz = mu + (logvar / 2).exp() * "
            "e\nreturn bernoulli_log_likelihood(model.decode(z), x).mean(dim=0) - "
            "gaussian_kl(mu, logvar)"
        ),
        "noise-too-narrow": (
            "mu, logvar = model.encode(x)\nshape = (n_samples, *mu.shape)\ne = 0.9 * "
            "torch.randn(shape, generator=generator)\nz = mu + (logvar / 2).exp() * "
            "e\nreturn bernoulli_log_likelihood(model.decode(z), x).mean(dim=0) - "
            "gaussian_kl(mu, logvar)"
        ),
        "noise-clamped": (
            "mu, logvar = model.encode(x)\nshape = (n_samples, *mu.shape)\ne = "
            "torch.randn(shape, generator=generator).clamp(-2, 2)\nz = mu + (logvar / "
            "2).exp() * e\nreturn bernoulli_log_likelihood(model.decode(z), x).mean(dim=0) - "
            "gaussian_kl(mu, logvar)"
        ),
        "noise-clamped-hard": (
            "mu, logvar = model.encode(x)\nshape = (n_samples, *mu.shape)\ne = "
            "torch.randn(shape, generator=generator).clamp(-1.5, 1.5)\nz = mu + (logvar / "
            "2).exp() * e\nreturn bernoulli_log_likelihood(model.decode(z), x).mean(dim=0) - "
            "gaussian_kl(mu, logvar)"
        ),
        "noise-uniform": (
            "mu, logvar = model.encode(x)\nshape = (n_samples, *mu.shape)\ne = "
            "(torch.rand(shape, generator=generator) - 0.5) * 12**0.5\nz = mu + (logvar / "
            "2).exp() * e\nreturn bernoulli_log_likelihood(model.decode(z), x).mean(dim=0) - "
            "gaussian_kl(mu, logvar)"
        ),
        "noise-wide-images-first": (
            "mu, logvar = model.encode(x)\ne = 1.1 * torch.randn(len(x), n_samples, "
            "mu.shape[1], generator=generator)\nz = mu[:, None] + (logvar / 2).exp()[:, "
            "None] * e\nreturn bernoulli_log_likelihood(model.decode(z).transpose(0, 1), "
            "x).mean(dim=0) - gaussian_kl(mu, logvar)"
        ),
        "one-epsilon-per-code": (
            "mu, logvar = model.encode(x)\ne = torch.randn(n_samples, len(x), 1, "
            "generator=generator)\nz = mu + logvar.exp() * e\nreturn "
            "bernoulli_log_likelihood(model.decode(z), x).mean(dim=0) - gaussian_kl(mu, "
            "logvar)"
        ),
        "sigma-detached": (
            "mu, logvar = model.encode(x)\nshape = (n_samples, *mu.shape)\ne = "
            "torch.randn(shape, generator=generator)\nz = mu + (logvar / 2).exp().detach() * "
            "e\nreturn bernoulli_log_likelihood(model.decode(z), x).mean(dim=0) - "
            "gaussian_kl(mu, logvar)"
        ),
        "range-of-a-tuple": (
            "mu, logvar = model.encode(x)\nv = "
            "[bernoulli_log_likelihood(model.decode(reparameterize(mu, logvar, generator)), "
            "x) for _ in range((n_samples, 1))]\nreturn sum(v) / n_samples - gaussian_kl(mu, "
            "logvar)"
        ),
    },
    "model": {
        "tanh-mu-softplus-logvar": (
            "self.a, self.m, self.v = nn.Linear(n_pixels, hidden), nn.Linear(hidden,"
            " latent_dim), nn.Linear(hidden, latent_dim)\nself.b, self.c ="
            " nn.Linear(latent_dim, hidden), nn.Linear(hidden, n_pixels)\n---\nh ="
            " F.relu(self.a(x))\nreturn torch.tanh(self.m(h)),"
            " F.softplus(self.v(h))\n---\nreturn self.c(F.relu(self.b(z)))"
        ),
        "hidden-layer-of-logvar": (
            "self.a, self.m, self.v = nn.Linear(n_pixels, hidden), nn.Linear(hidden,"
            " latent_dim), nn.Linear(hidden, latent_dim)\nself.b, self.c ="
            " nn.Linear(latent_dim, hidden), nn.Linear(hidden, n_pixels)\nself.w ="
            " nn.Linear(hidden, hidden)\n---\nh = F.relu(self.a(x))\nreturn self.m(h),"
            " self.v(F.relu(self.w(h)))\n---\nreturn self.c(F.relu(self.b(z)))"
        ),
        "decode-without-return": (
            "self.a, self.m, self.v = nn.Linear(n_pixels, hidden), nn.Linear(hidden,"
            " latent_dim), nn.Linear(hidden, latent_dim)\nself.b, self.c ="
            " nn.Linear(latent_dim, hidden), nn.Linear(hidden, n_pixels)\n---\nh ="
            " F.relu(self.a(x))\nreturn self.m(h),"
            " self.v(h)\n---\nself.c(F.relu(self.b(z)))"
        ),
        "sigmoid-hidden": (
            "self.a, self.m, self.v = nn.Linear(n_pixels, hidden), nn.Linear(hidden, latent_dim),"
            " nn.Linear(hidden, latent_dim)\nself.b, self.c = nn.Linear(latent_dim, hidden),"
            " nn.Linear(hidden, n_pixels)\n---\nh = torch.sigmoid(self.a(x))\nreturn self.m(h),"
            " self.v(h)\n---\nreturn self.c(F.relu(self.b(z)))"
        ),
        "gelu": (
            "self.a, self.m, self.v = nn.Linear(n_pixels, hidden), nn.Linear(hidden, latent_dim),"
            " nn.Linear(hidden, latent_dim)\nself.b, self.c = nn.Linear(latent_dim, hidden),"
            " nn.Linear(hidden, n_pixels)\n---\nh = F.relu(self.a(x))\nreturn self.m(h),"
            " self.v(h)\n---\nreturn self.c(F.gelu(self.b(z)))"
        ),
        "relu6": (
            "self.a, self.m, self.v = nn.Linear(n_pixels, hidden), nn.Linear(hidden, latent_dim),"
            " nn.Linear(hidden, latent_dim)\nself.b, self.c = nn.Linear(latent_dim, hidden),"
            " nn.Linear(hidden, n_pixels)\n---\nh = F.relu6(self.a(x))\nreturn self.m(h),"
            " self.v(h)\n---\nreturn self.c(F.relu(self.b(z)))"
        ),
        "relu-first": (
            "self.a, self.m, self.v = nn.Linear(n_pixels, hidden), nn.Linear(hidden, latent_dim),"
            " nn.Linear(hidden, latent_dim)\nself.b, self.c = nn.Linear(latent_dim, hidden),"
            " nn.Linear(hidden, n_pixels)\n---\nh = F.relu(self.a(x))\nreturn self.m(h),"
            " self.v(h)\n---\nreturn self.c(self.b(F.relu(z)))"
        ),
        "order": (
            "self.a, self.m, self.v = nn.Linear(n_pixels, hidden), nn.Linear(hidden, latent_dim),"
            " nn.Linear(hidden, latent_dim)\nself.b, self.c = nn.Linear(latent_dim, hidden),"
            " nn.Linear(hidden, n_pixels)\n---\nh = F.relu(self.a(x))\nreturn self.m(h), self.m(h)"
            " * 0.5\n---\nreturn self.c(F.relu(self.b(z)))"
        ),
        "no-bias": (
            "self.a, self.m, self.v = nn.Linear(n_pixels, hidden, bias=False), nn.Linear(hidden,"
            " latent_dim), nn.Linear(hidden, latent_dim)\nself.b, self.c = nn.Linear(latent_dim,"
            " hidden), nn.Linear(hidden, n_pixels)\n---\nh = F.relu(self.a(x))\nreturn self.m(h),"
            " self.v(h)\n---\nreturn self.c(F.relu(self.b(z)))"
        ),
        "softplus-logvar": (
            "self.a, self.m, self.v = nn.Linear(n_pixels, hidden), nn.Linear(hidden, latent_dim),"
            " nn.Linear(hidden, latent_dim)\nself.b, self.c = nn.Linear(latent_dim, hidden),"
            " nn.Linear(hidden, n_pixels)\n---\nh = F.relu(self.a(x))\nreturn self.m(h),"
            " F.softplus(self.v(h))\n---\nreturn self.c(F.relu(self.b(z)))"
        ),
        "log-of-softplus": (
            "self.a, self.m, self.v = nn.Linear(n_pixels, hidden), nn.Linear(hidden, latent_dim),"
            " nn.Linear(hidden, latent_dim)\nself.b, self.c = nn.Linear(latent_dim, hidden),"
            " nn.Linear(hidden, n_pixels)\n---\nh = F.relu(self.a(x))\nreturn self.m(h),"
            " F.softplus(self.v(h)).log()\n---\nreturn self.c(F.relu(self.b(z)))"
        ),
        "clamped-logvar": (
            "self.a, self.m, self.v = nn.Linear(n_pixels, hidden), nn.Linear(hidden, latent_dim),"
            " nn.Linear(hidden, latent_dim)\nself.b, self.c = nn.Linear(latent_dim, hidden),"
            " nn.Linear(hidden, n_pixels)\n---\nh = F.relu(self.a(x))\nreturn self.m(h),"
            " self.v(h).clamp(-1, 1)\n---\nreturn self.c(F.relu(self.b(z)))"
        ),
        "softmax-out": (
            "self.a, self.m, self.v = nn.Linear(n_pixels, hidden), nn.Linear(hidden, latent_dim),"
            " nn.Linear(hidden, latent_dim)\nself.b, self.c = nn.Linear(latent_dim, hidden),"
            " nn.Linear(hidden, n_pixels)\n---\nh = F.relu(self.a(x))\nreturn self.m(h),"
            " self.v(h)\n---\nreturn F.softmax(self.c(F.relu(self.b(z))), dim=-1)"
        ),
        "tanh-out": (
            "self.a, self.m, self.v = nn.Linear(n_pixels, hidden), nn.Linear(hidden, latent_dim),"
            " nn.Linear(hidden, latent_dim)\nself.b, self.c = nn.Linear(latent_dim, hidden),"
            " nn.Linear(hidden, n_pixels)\n---\nh = F.relu(self.a(x))\nreturn self.m(h),"
            " self.v(h)\n---\nreturn torch.tanh(self.c(F.relu(self.b(z))))"
        ),
        "normalised-hidden": (
            "self.a, self.m, self.v = nn.Linear(n_pixels, hidden), nn.Linear(hidden, latent_dim),"
            " nn.Linear(hidden, latent_dim)\nself.b, self.c = nn.Linear(latent_dim, hidden),"
            " nn.Linear(hidden, n_pixels)\n---\nh = F.normalize(F.relu(self.a(x)), dim=-1)\nreturn"
            " self.m(h), self.v(h)\n---\nreturn self.c(F.relu(self.b(z)))"
        ),
        "fixed-widths": (
            "self.a, self.m, self.v = nn.Linear(784, 400), nn.Linear(400, 20), nn.Linear(400,"
            " 20)\nself.b, self.c = nn.Linear(20, 400), nn.Linear(400, 784)\n---\nh ="
            " F.relu(self.a(x))\nreturn self.m(h), self.v(h)\n---\nreturn self.c(F.relu(self.b(z)))"
        ),
        "plain-list": (
            "self.layers = [nn.Linear(n_pixels, hidden), nn.Linear(hidden, latent_dim),"
            " nn.Linear(hidden, latent_dim), nn.Linear(latent_dim, hidden), nn.Linear(hidden,"
            " n_pixels)]\n---\nh = F.relu(self.layers[0](x))\nreturn self.layers[1](h),"
            " self.layers[2](h)\n---\nreturn self.layers[4](F.relu(self.layers[3](z)))"
        ),
        "logits-detached": (
            "self.a, self.m, self.v = nn.Linear(n_pixels, hidden), nn.Linear(hidden, latent_dim),"
            " nn.Linear(hidden, latent_dim)\nself.b, self.c = nn.Linear(latent_dim, hidden),"
            " nn.Linear(hidden, n_pixels)\n---\nh = F.relu(self.a(x))\nreturn self.m(h),"
            " self.v(h)\n---\nreturn self.c(F.relu(self.b(z)).detach())"
        ),
        "tied": (
            "self.a, self.m, self.v = nn.Linear(n_pixels, hidden), nn.Linear(hidden, latent_dim),"
            " nn.Linear(hidden, latent_dim)\nself.b, self.c = nn.Linear(latent_dim, hidden),"
            " nn.Linear(hidden, n_pixels)\n---\nh = F.relu(self.a(x))\nreturn self.m(h),"
            " self.v(h)\n---\nreturn F.linear(F.relu(self.b(z)), self.a.weight.T, self.c.bias)"
        ),
        "sampled-inside": (
            "self.a, self.m, self.v = nn.Linear(n_pixels, hidden), nn.Linear(hidden, latent_dim),"
            " nn.Linear(hidden, latent_dim)\nself.b, self.c = nn.Linear(latent_dim, hidden),"
            " nn.Linear(hidden, n_pixels)\n---\nh = F.relu(self.a(x))\nm, v = self.m(h),"
            " self.v(h)\nreturn m + torch.exp(v / 2) * torch.randn_like(m), v\n---\nreturn"
            " self.c(F.relu(self.b(z)))"
        ),
        "encoder-centred": (
            "self.a, self.m, self.v = nn.Linear(n_pixels, hidden), nn.Linear(hidden, latent_dim),"
            " nn.Linear(hidden, latent_dim)\nself.b, self.c = nn.Linear(latent_dim, hidden),"
            " nn.Linear(hidden, n_pixels)\n---\nh = F.relu(self.a(x - x.mean(dim=0)))\nreturn"
            " self.m(h), self.v(h)\n---\nreturn self.c(F.relu(self.b(z)))"
        ),
        "skip": (
            "self.a, self.m, self.v = nn.Linear(n_pixels, hidden), nn.Linear(hidden, latent_dim),"
            " nn.Linear(hidden, latent_dim)\nself.b, self.c = nn.Linear(latent_dim, hidden),"
            " nn.Linear(hidden, n_pixels)\n---\nh = self.a(x)\nh = F.relu(h) + h\nreturn self.m(h),"
            " self.v(h)\n---\nreturn self.c(F.relu(self.b(z)))"
        ),
        "codes-squeezed": (
            "self.a, self.m, self.v = nn.Linear(n_pixels, hidden), nn.Linear(hidden, latent_dim), "
            "nn.Linear(hidden, latent_dim)\nself.b, self.c = nn.Linear(latent_dim, hidden), "
            "nn.Linear(hidden, n_pixels)\n---\nh = F.relu(self.a(x))\nreturn self.m(h).squeeze(), "
            "self.v(h).squeeze()\n---\nreturn self.c(F.relu(self.b(z)))"
        ),
        "logvar-squeezed": (
            "self.a, self.m, self.v = nn.Linear(n_pixels, hidden), nn.Linear(hidden, latent_dim), "
            "nn.Linear(hidden, latent_dim)\nself.b, self.c = nn.Linear(latent_dim, hidden), "
            "nn.Linear(hidden, n_pixels)\n---\nh = F.relu(self.a(x))\nreturn self.m(h), "
            "self.v(h).squeeze()\n---\nreturn self.c(F.relu(self.b(z)))"
        ),
        "logits-squeezed": (
            "self.a, self.m, self.v = nn.Linear(n_pixels, hidden), nn.Linear(hidden, latent_dim), "
            "nn.Linear(hidden, latent_dim)\nself.b, self.c = nn.Linear(latent_dim, hidden), "
            "nn.Linear(hidden, n_pixels)\n---\nh = F.relu(self.a(x))\nreturn self.m(h), "
            "self.v(h)\n---\nreturn self.c(F.relu(self.b(z))).squeeze()"
        ),
        "sizes-of-one-exchanged": (
            "self.a, self.m, self.v = nn.Linear(hidden, n_pixels), nn.Linear(hidden, latent_dim), "
            "nn.Linear(hidden, latent_dim)\nself.b, self.c = nn.Linear(latent_dim, hidden), "
            "nn.Linear(hidden, n_pixels)\n---\nh = F.relu(self.a(x))\nreturn self.m(h), "
            "self.v(h)\n---\nreturn self.c(F.relu(self.b(z)))"
        ),
        "sizes-of-all-exchanged": (
            "self.a, self.m, self.v = nn.Linear(hidden, n_pixels), nn.Linear(latent_dim, hidden), "
            "nn.Linear(latent_dim, hidden)\nself.b, self.c = nn.Linear(hidden, latent_dim), "
            "nn.Linear(n_pixels, hidden)\n---\nh = F.relu(self.a(x))\nreturn self.m(h), "
            "self.v(h)\n---\nreturn self.c(F.relu(self.b(z)))"
        ),
        "sigma-for-logvar": (
            "self.a, self.m, self.v = nn.Linear(n_pixels, hidden), nn.Linear(hidden, latent_dim), "
            "nn.Linear(hidden, latent_dim)\nself.b, self.c = nn.Linear(latent_dim, hidden), "
            "nn.Linear(hidden, n_pixels)\n---\nh = F.relu(self.a(x))\nreturn self.m(h), "
            "torch.exp(self.v(h) / 2)\n---\nreturn self.c(F.relu(self.b(z)))"
        ),
        "linear-with-sigmoid": (
            "self.a, self.m, self.v = nn.Linear(n_pixels, hidden), nn.Linear(hidden, latent_dim), "
            "nn.Linear(hidden, latent_dim)\nself.b, self.c = nn.Linear(latent_dim, hidden), "
            "nn.Linear(hidden, n_pixels)\n---\nh = F.relu(self.a(x))\nreturn self.m(h), "
            "self.v(h)\n---\nreturn torch.sigmoid(self.c(self.b(z)))"
        ),
        "decode-overwritten": (
            "self.a, self.m, self.v = nn.Linear(n_pixels, hidden), nn.Linear(hidden, latent_dim), "
            "nn.Linear(hidden, latent_dim)\nself.decode = nn.Sequential(nn.Linear(latent_dim, "
            "hidden), nn.ReLU(), nn.Linear(hidden, n_pixels))\n---\nh = F.relu(self.a(x))\nreturn "
            "self.m(h), self.v(h)\n---\nreturn self.decode(z)"
        ),
        "relu-layer-called": (
            "self.a, self.m, self.v = nn.Linear(n_pixels, hidden), nn.Linear(hidden, latent_dim), "
            "nn.Linear(hidden, latent_dim)\nself.b, self.c = nn.Linear(latent_dim, hidden), "
            "nn.Linear(hidden, n_pixels)\n---\nh = nn.ReLU(self.a(x))\nreturn self.m(h), "
            "self.v(h)\n---\nreturn self.c(F.relu(self.b(z)))"
        ),
        "chunk-of-images": (
            "self.body = nn.Sequential(nn.Linear(n_pixels, hidden), nn.ReLU(), nn.Linear(hidden, "
            "2 * latent_dim))\nself.head = nn.Sequential(nn.Linear(latent_dim, hidden), "
            "nn.ReLU(), nn.Linear(hidden, n_pixels))\n---\nreturn self.body(x).chunk(2, dim=0)\n"
            "---\nreturn self.head(z)"
        ),
        "view-784": (
            "self.a, self.m, self.v = nn.Linear(n_pixels, hidden), nn.Linear(hidden, latent_dim), "
            "nn.Linear(hidden, latent_dim)\nself.b, self.c = nn.Linear(latent_dim, hidden), "
            "nn.Linear(hidden, n_pixels)\n---\nh = F.relu(self.a(x.view(-1, 784)))\nreturn "
            "self.m(h), self.v(h)\n---\nreturn self.c(F.relu(self.b(z)))"
        ),
        "decode-trailing-comma": (
            "self.a, self.m, self.v = nn.Linear(n_pixels, hidden), nn.Linear(hidden, latent_dim), "
            "nn.Linear(hidden, latent_dim)\nself.b, self.c = nn.Linear(latent_dim, hidden), "
            "nn.Linear(hidden, n_pixels)\n---\nh = F.relu(self.a(x))\nreturn self.m(h), "
            "self.v(h)\n---\nreturn self.c(F.relu(self.b(z))),"
        ),
        "parameter-matrices": (
            "self.a = nn.Parameter(torch.randn(n_pixels, hidden) / 30)\nself.m = "
            "nn.Parameter(torch.randn(hidden, latent_dim) / 20)\nself.v = "
            "nn.Parameter(torch.randn(hidden, latent_dim) / 20)\nself.d = "
            "nn.Parameter(torch.randn(latent_dim, hidden))\nself.o = "
            "nn.Parameter(torch.randn(hidden, n_pixels) / 20)\n---\nh = F.relu(x @ "
            "self.a)\nreturn h @ self.m, h @ self.v\n---\nreturn F.relu(z @ self.d) @ self.o"
        ),
    },
    "step": {
        "mean-divided-again": (
            "l = loss(model, x).mean() /"
            " len(x)\noptimizer.zero_grad()\nl.backward()\noptimizer.step()\nreturn l.item()"
        ),
        "first-example": (
            "l = loss(model, x)[0]\noptimizer.zero_grad()\nl.backward()\noptimizer.step()\nreturn"
            " l.item()"
        ),
        "median": (
            "l = loss(model,"
            " x).median()\noptimizer.zero_grad()\nl.backward()\noptimizer.step()\nreturn l.item()"
        ),
        "max": (
            "l = loss(model,"
            " x).max()\noptimizer.zero_grad()\nl.backward()\noptimizer.step()\nreturn l.item()"
        ),
        "no-backward": (
            "l = loss(model, x).mean()\noptimizer.zero_grad()\noptimizer.step()\nreturn l.item()"
        ),
        "cleared-after-backward": (
            "l = loss(model,"
            " x).mean()\nl.backward()\noptimizer.zero_grad()\noptimizer.step()\nreturn l.item()"
        ),
        "cleared-at-end": (
            "l = loss(model,"
            " x).mean()\nl.backward()\noptimizer.step()\noptimizer.zero_grad()\nreturn l.item()"
        ),
        "sgd-by-hand": (
            "l = loss(model, x).mean()\nmodel.zero_grad()\nl.backward()\nwith torch.no_grad():\n   "
            " for p in model.parameters():\n        p -= 0.02 * p.grad\nreturn l.item()"
        ),
        "norm-clipped": (
            "l = loss(model,"
            " "
            "x).mean()\noptimizer.zero_grad()\nl.backward()\n"
            "torch.nn.utils.clip_grad_norm_(model.parameters(),"
            " 1.0)\noptimizer.step()\nreturn l.item()"
        ),
        "value-clipped": (
            "l = loss(model,"
            " "
            "x).mean()\noptimizer.zero_grad()\nl.backward()\n"
            "torch.nn.utils.clip_grad_value_(model.parameters(),"
            " 0.5)\noptimizer.step()\nreturn l.item()"
        ),
        "log-loss": (
            "l = loss(model,"
            " x).mean().log()\noptimizer.zero_grad()\nl.backward()\noptimizer.step()\nreturn"
            " l.item()"
        ),
        "returns-sum": (
            "l = loss(model,"
            " x)\noptimizer.zero_grad()\nl.mean().backward()\noptimizer.step()\nreturn"
            " l.sum().item()"
        ),
        "returns-list": (
            "l = loss(model,"
            " x)\noptimizer.zero_grad()\nl.mean().backward()\noptimizer.step()\nreturn l.tolist()"
        ),
        "returns-nothing": (
            "l = loss(model, x).mean()\noptimizer.zero_grad()\nl.backward()\noptimizer.step()"
        ),
        "returns-numpy": (
            "l = loss(model,"
            " x).mean()\noptimizer.zero_grad()\nl.backward()\noptimizer.step()\nreturn"
            " l.detach().numpy()"
        ),
        "rounded": (
            "l = loss(model,"
            " x).mean()\noptimizer.zero_grad()\nl.backward()\noptimizer.step()\nreturn"
            " float(round(l.item()))"
        ),
        "half-batch": (
            "l = loss(model, x[: len(x) //"
            " 2]).mean()\noptimizer.zero_grad()\nl.backward()\noptimizer.step()\nreturn l.item()"
        ),
        "own-optimiser": (
            "l = loss(model, x).mean()\no ="
            " torch.optim.Adam(model.parameters())\no.zero_grad()\nl.backward()\no.step()\nreturn"
            " l.item()"
        ),
        "minus": (
            "l = -loss(model,"
            " x).mean()\noptimizer.zero_grad()\nl.backward()\noptimizer.step()\nreturn l.item()"
        ),
        "weight-decay": (
            "l = loss(model, x).mean()\noptimizer.zero_grad()\n(l + 0.1 * sum(p.square().sum() for"
            " p in model.parameters())).backward()\noptimizer.step()\nreturn l.item()"
        ),
        "backward-twice": (
            "l = loss(model, x).mean()\noptimizer.zero_grad()\nl.backward(retain_graph=True)\n"
            "l.backward()\noptimizer.step()\nreturn l.item()"
        ),
        "backward-again": (
            "l = loss(model, x).mean()\noptimizer.zero_grad()\nl.backward()\nl.backward()\n"
            "optimizer.step()\nreturn l.item()"
        ),
        "item-of-vector": (
            "l = loss(model, x)\noptimizer.zero_grad()\nl.mean().backward()\noptimizer.step()\n"
            "return l.item()"
        ),
        "loss-exchanged": (
            "l = loss(x, model).mean()\noptimizer.zero_grad()\nl.backward()\noptimizer.step()\n"
            "return l.item()"
        ),
        "loss-of-x": (
            "l = loss(x).mean()\noptimizer.zero_grad()\nl.backward()\noptimizer.step()\nreturn "
            "l.item()"
        ),
        "elbo-inside": (
            "l = -elbo(model, x).mean()\noptimizer.zero_grad()\nl.backward()\noptimizer.step()\n"
            "return l.item()"
        ),
        "backward-of-the-function": (
            "optimizer.zero_grad()\nl = loss(model, x).mean()\nloss.backward()\noptimizer.step()\n"
            "return l.item()"
        ),
        "item-before-backward": (
            "l = loss(model, x).mean().item()\noptimizer.zero_grad()\nl.backward()\n"
            "optimizer.step()\nreturn l"
        ),
        "not-averaged": (
            "v = loss(model, "
            "x)\noptimizer.zero_grad()\nv.mean().backward()\noptimizer.step()\nreturn v"
        ),
        "loss-of-three": (
            "l = loss(model, x, "
            "None).mean()\noptimizer.zero_grad()\nl.backward()\noptimizer.step()\nreturn "
            "l.item()"
        ),
    },
    "settings": {
        "too-slow": "return 1, 1e-4",
        "diverges": "return 5, 10.0",
        "six-epochs": "return 6, 5e-3",
        "fraction": "return 2.5, 5e-3",
        "negative-rate": "return 3, -1e-2",
        "text": "return '3', '1e-2'",
        "one-number": "return 3",
        "exchanged": "return 1e-2, 3",
        "decimal-comma": "return 3, 0,12",
        "trailing-comma": "return (3, 1.2e-2),",
        "three-numbers": ("return 3, 1e-2, 256"),
        "number-missing": ("return 3,"),
    },
    "reconstruct": {
        "exp-of-logits": "return torch.exp(model.decode(model.encode(x)[0]))",
        "logvar-code": "_, logvar = model.encode(x)\nreturn torch.sigmoid(model.decode(logvar))",
        "sigmoid-twice": "return torch.sigmoid(torch.sigmoid(model.decode(model.encode(x)[0])))",
        "tanh": "return (torch.tanh(model.decode(model.encode(x)[0])) + 1) / 2",
        "softmax": "return torch.softmax(model.decode(model.encode(x)[0]), dim=-1)",
        "clamp": "return model.decode(model.encode(x)[0]).clamp(0, 1)",
        "min-max": (
            "v = model.decode(model.encode(x)[0])\nreturn (v - v.min()) / (v.max() - v.min())"
        ),
        "x-itself": "return x.clone()",
        "mean-of-two": "return (torch.sigmoid(model.decode(model.encode(x)[0])) + x) / 2",
        "plus-sigma": (
            "mu, logvar = model.encode(x)\nreturn torch.sigmoid(model.decode(mu + torch.exp(logvar"
            " / 2)))"
        ),
        "averaged-samples": (
            "mu, logvar = model.encode(x)\nz = mu + torch.exp(logvar / 2) * torch.randn(200,"
            " *mu.shape)\nreturn torch.sigmoid(model.decode(z)).mean(dim=0)"
        ),
        "drawn": "return torch.bernoulli(torch.sigmoid(model.decode(model.encode(x)[0])))",
        "seeded-sample": (
            "mu, logvar = model.encode(x)\nz = mu + torch.exp(logvar / 2) * torch.randn(mu.shape,"
            " generator=torch.Generator().manual_seed(0))\nreturn torch.sigmoid(model.decode(z))"
        ),
        "as-pictures": (
            "return torch.sigmoid(model.decode(model.encode(x)[0])).reshape(len(x), 1, -1)"
        ),
        "squeezed": "return torch.sigmoid(model.decode(model.encode(x)[0])).squeeze()",
        "model-called": "return torch.sigmoid(model(x))",
        "decode-of-two": (
            "mu, logvar = model.encode(x)\nreturn torch.sigmoid(model.decode(mu, logvar))"
        ),
        "sigmoid-layer-called": ("return nn.Sigmoid(model.decode(model.encode(x)[0]))"),
        "by-image-sharper": (
            "return torch.cat([torch.sigmoid(2 * model.decode(model.encode(i[None])[0])) for "
            "i in x])"
        ),
    },
    "generate": {
        "student-t": (
            "e = torch.randn(n, model.latent_dim, generator=generator)\nu = torch.randn(n,"
            " model.latent_dim, generator=generator)\nreturn torch.sigmoid(model.decode(e / (0.5 +"
            " u.abs())))"
        ),
        "half-wide": (
            "return torch.sigmoid(model.decode(0.5 * torch.randn(n, model.latent_dim,"
            " generator=generator)))"
        ),
        "shifted": (
            "return torch.sigmoid(model.decode(0.2 + torch.randn(n, model.latent_dim,"
            " generator=generator)))"
        ),
        "one-coordinate": (
            "z = torch.zeros(n, model.latent_dim)\nz[:, 0] = torch.randn(n,"
            " generator=generator)\nreturn torch.sigmoid(model.decode(z))"
        ),
        "shared-coordinate": (
            "z = torch.randn(n, 1, generator=generator).expand(n, model.latent_dim)\nreturn"
            " torch.sigmoid(model.decode(z))"
        ),
        "one-code": (
            "z = torch.randn(1, model.latent_dim, generator=generator).expand(n, -1)\nreturn"
            " torch.sigmoid(model.decode(z))"
        ),
        "zeros": "return torch.sigmoid(model.decode(torch.zeros(n, model.latent_dim)))",
        "uniform-wide": (
            "z = (torch.rand(n, model.latent_dim, generator=generator) - 0.5) *"
            " math.sqrt(12)\nreturn torch.sigmoid(model.decode(z))"
        ),
        "truncated": (
            "z = torch.randn(n, model.latent_dim, generator=generator).clamp(-2, 2)\nreturn"
            " torch.sigmoid(model.decode(z))"
        ),
        "sphere": (
            "z = torch.randn(n, model.latent_dim, generator=generator)\nz = z / z.norm(dim=1,"
            " keepdim=True) * math.sqrt(model.latent_dim)\nreturn torch.sigmoid(model.decode(z))"
        ),
        "seeded": (
            "z = torch.randn(n, model.latent_dim,"
            " generator=torch.Generator().manual_seed(n))\nreturn torch.sigmoid(model.decode(z))"
        ),
        "bernoulli": (
            "z = torch.randn(n, model.latent_dim, generator=generator)\nreturn"
            " torch.bernoulli(torch.sigmoid(model.decode(z)), generator=generator)"
        ),
        "logits-drawn": (
            "z = torch.randn(n, model.latent_dim, generator=generator)\nlogits ="
            " model.decode(z)\nreturn torch.sigmoid(logits + torch.randn(logits.shape,"
            " generator=generator))"
        ),
        "one-too-many": (
            "z = torch.randn(n + 1, model.latent_dim, generator=generator)\nreturn"
            " torch.sigmoid(model.decode(z))"
        ),
        "mirrored": (
            "z = torch.randn((n + 1) // 2, model.latent_dim, generator=generator)\nz ="
            " torch.cat([z, -z])[:n]\nreturn torch.sigmoid(model.decode(z))"
        ),
        "ignores-none": (
            "generator = generator or torch.Generator().manual_seed(0)\nreturn"
            " torch.sigmoid(model.decode(torch.randn(n, model.latent_dim, generator=generator)))"
        ),
        "squeezed": (
            "return torch.sigmoid(model.decode(torch.randn(n, model.latent_dim, "
            "generator=generator))).squeeze()"
        ),
        "sigmoid-twice": (
            "z = torch.randn(n, model.latent_dim, generator=generator)\nreturn "
            "torch.sigmoid(torch.sigmoid(model.decode(z)))"
        ),
        "softmax": (
            "z = torch.randn(n, model.latent_dim, generator=generator)\nreturn "
            "torch.softmax(model.decode(z), dim=-1)"
        ),
        "images-averaged": (
            "z = torch.randn(10, n, model.latent_dim, generator=generator)\nreturn "
            "torch.sigmoid(model.decode(z)).mean(dim=0)"
        ),
        "generator-by-position": (
            "z = torch.randn(n, model.latent_dim, generator)\nreturn torch.sigmoid(model.decode(z))"
        ),
        "numpy-noise": (
            "import numpy as np\nz = torch.from_numpy(np.random.randn(n, model.latent_dim))\n"
            "return torch.sigmoid(model.decode(z))"
        ),
        "noise-encoded": (
            "mu, logvar = model.encode(torch.randn(n, 784))\nreturn torch.sigmoid(model.decode(mu))"
        ),
        "numpy-array": (
            "import numpy as np\nz = np.random.randn(n, "
            "model.latent_dim).astype('float32')\nreturn torch.sigmoid(model.decode(z))"
        ),
        "list-of-draws": (
            "z = [torch.randn(model.latent_dim, generator=generator) for _ in "
            "range(n)]\nreturn torch.sigmoid(model.decode(z))"
        ),
    },
    "interpolate": {
        "tensor-of-tensors": (
            "mu, _ = model.encode(torch.tensor([x_a, x_b]))\n"
            "weight = torch.linspace(0, 1, steps).unsqueeze(1)\n"
            "return torch.sigmoid(model.decode((1 - weight) * mu[0] + weight * mu[1]))"
        ),
        "starts-beyond-a": (
            "mu, _ = model.encode(torch.stack([x_a, x_b]))\nweight = (torch.arange(1,"
            " steps + 1) / steps).unsqueeze(1)\nreturn torch.sigmoid(model.decode((1"
            " - weight) * mu[0] + weight * mu[1]))"
        ),
        "slerp": (
            "mu, _ = model.encode(torch.stack([x_a, x_b]))\na, b = mu\no = torch.acos((a @ b /"
            " a.norm() / b.norm()).clamp(-1, 1))\nt = torch.linspace(0, 1,"
            " steps).unsqueeze(1)\nreturn torch.sigmoid(model.decode((torch.sin((1 - t) * o) * a +"
            " torch.sin(t * o) * b) / torch.sin(o)))"
        ),
        "squared-spacing": (
            "mu, _ = model.encode(torch.stack([x_a, x_b]))\nt = torch.linspace(0, 1,"
            " steps).square().unsqueeze(1)\nreturn torch.sigmoid(model.decode((1 - t) * mu[0] + t *"
            " mu[1]))"
        ),
        "cosine-spacing": (
            "mu, _ = model.encode(torch.stack([x_a, x_b]))\nt = ((1 - torch.cos(math.pi *"
            " torch.linspace(0, 1, steps))) / 2).unsqueeze(1)\nreturn torch.sigmoid(model.decode((1"
            " - t) * mu[0] + t * mu[1]))"
        ),
        "without-ends": (
            "mu, _ = model.encode(torch.stack([x_a, x_b]))\nt = torch.linspace(0, 1, steps +"
            " 2)[1:-1].unsqueeze(1)\nreturn torch.sigmoid(model.decode((1 - t) * mu[0] + t *"
            " mu[1]))"
        ),
        "three-always": (
            "mu, _ = model.encode(torch.stack([x_a, x_b]))\nt = torch.linspace(0, 1,"
            " 3).unsqueeze(1)\nreturn torch.sigmoid(model.decode((1 - t) * mu[0] + t * mu[1]))"
        ),
        "one-step-more": (
            "mu, _ = model.encode(torch.stack([x_a, x_b]))\nt = torch.linspace(0, 1, steps +"
            " 1).unsqueeze(1)\nreturn torch.sigmoid(model.decode((1 - t) * mu[0] + t * mu[1]))"
        ),
        "mixed-logits": (
            "mu, _ = model.encode(torch.stack([x_a, x_b]))\nl = model.decode(mu)\nt ="
            " torch.linspace(0, 1, steps).unsqueeze(1)\nreturn torch.sigmoid((1 - t) * l[0] + t *"
            " l[1])"
        ),
        "logvar-walk": (
            "_, v = model.encode(torch.stack([x_a, x_b]))\nt = torch.linspace(0, 1,"
            " steps).unsqueeze(1)\nreturn torch.sigmoid(model.decode((1 - t) * v[0] + t * v[1]))"
        ),
        "sampled-ends": (
            "mu, v = model.encode(torch.stack([x_a, x_b]))\nmu = mu + torch.exp(v / 2) *"
            " torch.randn(mu.shape)\nt = torch.linspace(0, 1, steps).unsqueeze(1)\nreturn"
            " torch.sigmoid(model.decode((1 - t) * mu[0] + t * mu[1]))"
        ),
        "only-ends": (
            "mu, _ = model.encode(torch.stack([x_a, x_b]))\nt = (torch.linspace(0, 1, steps) >="
            " 0.5).float().unsqueeze(1)\nreturn torch.sigmoid(model.decode((1 - t) * mu[0] + t *"
            " mu[1]))"
        ),
        "beyond": (
            "mu, _ = model.encode(torch.stack([x_a, x_b]))\nt = torch.linspace(-0.1, 1.1,"
            " steps).unsqueeze(1)\nreturn torch.sigmoid(model.decode((1 - t) * mu[0] + t * mu[1]))"
        ),
        "sum-not-mix": (
            "mu, _ = model.encode(torch.stack([x_a, x_b]))\nt = torch.linspace(0, 1,"
            " steps).unsqueeze(1)\nreturn torch.sigmoid(model.decode(mu[0] + t * mu[1]))"
        ),
        "logits": (
            "mu, _ = model.encode(torch.stack([x_a, x_b]))\nt = torch.linspace(0, 1,"
            " steps).unsqueeze(1)\nreturn model.decode((1 - t) * mu[0] + t * mu[1])"
        ),
        "list": (
            "mu, _ = model.encode(torch.stack([x_a, x_b]))\nreturn [torch.sigmoid(model.decode((1 -"
            " t) * mu[0] + t * mu[1])) for t in torch.linspace(0, 1, steps)]"
        ),
        "weights-without-axis": (
            "mu, _ = model.encode(torch.stack([x_a, x_b]))\nt = torch.linspace(0, 1, steps)\n"
            "return torch.sigmoid(model.decode((1 - t) * mu[0] + t * mu[1]))"
        ),
        "cat": (
            "mu, _ = model.encode(torch.cat([x_a, x_b]))\nt = torch.linspace(0, 1, "
            "steps).unsqueeze(1)\nreturn torch.sigmoid(model.decode((1 - t) * mu[0] + t * mu[1]))"
        ),
        "tuple-not-unpacked": (
            "a = model.encode(x_a)\nb = model.encode(x_b)\nt = torch.linspace(0, 1, "
            "steps).unsqueeze(1)\nreturn torch.sigmoid(model.decode((1 - t) * a + t * b))"
        ),
        "axis-too-many": (
            "a = model.encode(x_a.unsqueeze(0))[0]\nb = model.encode(x_b.unsqueeze(0))[0]\nt = "
            "torch.linspace(0, 1, steps).view(-1, 1, 1)\nreturn torch.sigmoid(model.decode((1 - "
            "t) * a + t * b))"
        ),
        "one-step-less": (
            "mu, _ = model.encode(torch.stack([x_a, x_b]))\nz = [mu[0] + (mu[1] - mu[0]) * i / "
            "(steps - 1) for i in range(steps - 1)]\nreturn "
            "torch.sigmoid(model.decode(torch.stack(z)))"
        ),
        "images-end-to-end": (
            "a = model.encode(x_a)[0]\nb = model.encode(x_b)[0]\nreturn "
            "torch.cat([torch.sigmoid(model.decode(a + (b - a) * i / (steps - 1))) for i in "
            "range(steps)])"
        ),
        "images-in-a-tuple": (
            "mu, _ = model.encode((x_a, x_b))\nt = torch.linspace(0, 1, "
            "steps).unsqueeze(1)\nreturn torch.sigmoid(model.decode((1 - t) * mu[0] + t * "
            "mu[1]))"
        ),
        "image-in-place": (
            "mu, _ = model.encode(torch.stack([x_a, x_b]))\nx_a.sub_(x_b)\nt = "
            "torch.linspace(0, 1, steps).unsqueeze(1)\nreturn torch.sigmoid(model.decode((1 "
            "- t) * mu[0] + t * mu[1]))"
        ),
    },
    "corrupt": {
        "one-draw-for-both": (
            "u = torch.rand(x.shape, generator=generator)\nreturn torch.where(u <"
            " noise, (u < 0.5).float(), x)"
        ),
        "half-the-rate": (
            "m = torch.rand(x.shape, generator=generator) < noise / 2\nc = (torch.rand(x.shape,"
            " generator=generator) < 0.5).float()\nreturn torch.where(m, c, x)"
        ),
        "kept-not-replaced": (
            "m = torch.rand(x.shape, generator=generator) < noise\nc = (torch.rand(x.shape,"
            " generator=generator) < 0.5).float()\nreturn torch.where(m, x, c)"
        ),
        "biased-coin": (
            "m = torch.rand(x.shape, generator=generator) < noise\nc = (torch.rand(x.shape,"
            " generator=generator) < 0.4).float()\nreturn torch.where(m, c, x)"
        ),
        "same-draw": (
            "u = torch.rand(x.shape, generator=generator)\nreturn torch.where(u < noise, (u <"
            " 0.5).float(), x)"
        ),
        "salt": (
            "m = torch.rand(x.shape, generator=generator) < noise\nreturn torch.where(m,"
            " torch.ones_like(x), x)"
        ),
        "uniform-grey": (
            "m = torch.rand(x.shape, generator=generator) < noise\nreturn torch.where(m,"
            " torch.rand(x.shape, generator=generator), x)"
        ),
        "exact-count": (
            "k = round(noise * x.shape[-1])\ny = x.clone()\nfor i in range(len(x)):\n    p ="
            " torch.randperm(x.shape[-1], generator=generator)[:k]\n    y[i, p] = (torch.rand(k,"
            " generator=generator) < 0.5).float()\nreturn y"
        ),
        "coin-per-image": (
            "m = torch.rand(x.shape, generator=generator) < noise\nc = (torch.rand(len(x), 1,"
            " generator=generator) < 0.5).float().expand_as(x)\nreturn torch.where(m, c, x)"
        ),
        "whole-images": (
            "m = torch.rand(len(x), 1, generator=generator) < noise\nc = (torch.rand(x.shape,"
            " generator=generator) < 0.5).float()\nreturn torch.where(m, c, x)"
        ),
        "fixed-rate": (
            "m = torch.rand(x.shape, generator=generator) < 0.3\nc = (torch.rand(x.shape,"
            " generator=generator) < 0.5).float()\nreturn torch.where(m, c, x)"
        ),
        "global-coin": (
            "m = torch.rand(x.shape, generator=generator) < noise\nc = (torch.rand(x.shape) <"
            " 0.5).float()\nreturn torch.where(m, c, x)"
        ),
        "booleans": (
            "m = torch.rand(x.shape, generator=generator) < noise\nc = torch.rand(x.shape,"
            " generator=generator) < 0.5\nreturn torch.where(m, c, x.bool())"
        ),
        "added": (
            "m = (torch.rand(x.shape, generator=generator) < noise).float()\nreturn (x +"
            " m).clamp(max=1)"
        ),
        "dropout": "return F.dropout(x, noise)",
        "rows-shuffled": "return x[torch.randperm(len(x), generator=generator)]",
        "squeezed": (
            "m = torch.rand(x.shape, generator=generator) < noise\nc = (torch.rand(x.shape, "
            "generator=generator) < 0.5).float()\nreturn torch.where(m, c, x).squeeze()"
        ),
        "one-draw-for-all-images": (
            "m = torch.rand(x.shape[-1], generator=generator) < noise\nc = "
            "(torch.rand(x.shape[-1], generator=generator) < 0.5).float()\nreturn torch.where(m, "
            "c, x)"
        ),
        "mask-per-image": (
            "m = torch.rand(len(x), 1, generator=generator) < noise\nc = "
            "(torch.rand(x.shape, generator=generator) < 0.5).float()\nreturn torch.where(m, "
            "c, x)"
        ),
        "fixed-number": (
            "k = int(noise * x.shape[1])\nm = torch.stack([torch.randperm(x.shape[1], "
            "generator=generator) < k for _ in x])\nc = (torch.rand(x.shape, "
            "generator=generator) < 0.5).float()\nreturn torch.where(m, c, x)"
        ),
    },
    "ae": {
        "encode-not-asked": (
            "hidden = torch.tanh(x @ model.A + model.a)\nreturn"
            " -bernoulli_log_likelihood(model.decode(2 * hidden), x)"
        ),
        "mean-over-pixels": (
            "return -bernoulli_log_likelihood(model.decode(model.encode(x)[0]), x) / x.shape[-1]"
        ),
        "half": "return -0.5 * bernoulli_log_likelihood(model.decode(model.encode(x)[0]), x)",
        "squared": (
            "return (torch.sigmoid(model.decode(model.encode(x)[0])) - x).square().sum(dim=-1)"
        ),
        "logvar-code": "return -bernoulli_log_likelihood(model.decode(model.encode(x)[1]), x)",
        "sigmoid-first": (
            "return -bernoulli_log_likelihood(torch.sigmoid(model.decode(model.encode(x)[0])), x)"
        ),
        "elbo-loss": "return -elbo(model, x, 1, generator)",
        "corrupted": (
            "return -bernoulli_log_likelihood(model.decode(model.encode(corrupt(x, 0.3,"
            " generator))[0]), x)"
        ),
        "penalty": (
            "mu, _ = model.encode(x)\nreturn -bernoulli_log_likelihood(model.decode(mu), x) + 0.01"
            " * mu.square().sum(dim=-1)"
        ),
        "encoder-detached": (
            "mu, _ = model.encode(x)\nreturn"
            " -bernoulli_log_likelihood(model.decode(mu.detach()), x)"
        ),
        "all-detached": (
            "mu, _ = model.encode(x)\nreturn -bernoulli_log_likelihood(model.decode(mu),"
            " x).detach()"
        ),
        "small-noise": (
            "mu, _ = model.encode(x)\nreturn -bernoulli_log_likelihood(model.decode(mu + 1e-2 *"
            " torch.randn(mu.shape, generator=generator)), x)"
        ),
        "tanh-code": (
            "mu, _ = model.encode(x)\nreturn"
            " -bernoulli_log_likelihood(model.decode(torch.tanh(mu)), x)"
        ),
        "squeezed": (
            "return -bernoulli_log_likelihood(model.decode(model.encode(x)[0]), x).squeeze()"
        ),
        "summed-over-all": (
            "return -bernoulli_log_likelihood(model.decode(model.encode(x)[0]), x).sum()"
        ),
        "view-784": (
            "x = x.view(-1, 784)\nreturn "
            "-bernoulli_log_likelihood(model.decode(model.encode(x)[0]), x)"
        ),
    },
    "dae": {
        "default-noise": (
            "return -bernoulli_log_likelihood(model.decode(model.encode(corrupt(x, 0.3,"
            " generator))[0]), x)"
        ),
        "twice-corrupted": (
            "return -bernoulli_log_likelihood(model.decode(model.encode(corrupt(corrupt(x, noise,"
            " generator), noise, generator))[0]), x)"
        ),
        "gaussian": (
            "return -bernoulli_log_likelihood(model.decode(model.encode(x + noise *"
            " torch.randn(x.shape, generator=generator))[0]), x)"
        ),
        "noise-in-code": (
            "mu, _ = model.encode(x)\nreturn -bernoulli_log_likelihood(model.decode(mu + noise *"
            " torch.randn(mu.shape, generator=generator)), x)"
        ),
        "noisy-both": (
            "n = corrupt(x, noise, generator)\nreturn"
            " -bernoulli_log_likelihood(model.decode(model.encode(n)[0]), n)"
        ),
        "only-changed": (
            "n = corrupt(x, noise, generator)\nl ="
            " F.binary_cross_entropy_with_logits(model.decode(model.encode(n)[0]), x,"
            " reduction='none')\nreturn (l * (n != x)).sum(dim=-1)"
        ),
        "average-of-both": (
            "a = bernoulli_log_likelihood(model.decode(model.encode(x)[0]), x)\nb ="
            " bernoulli_log_likelihood(model.decode(model.encode(corrupt(x, noise, generator))[0]),"
            " x)\nreturn -(a + b) / 2"
        ),
        "global-noise": (
            "return -bernoulli_log_likelihood(model.decode(model.encode(corrupt(x, noise))[0]), x)"
        ),
        "encoder-detached": (
            "return -bernoulli_log_likelihood(model.decode(model.encode(corrupt(x, noise,"
            " generator))[0].detach()), x)"
        ),
        "batch-mean": (
            "return -bernoulli_log_likelihood(model.decode(model.encode(corrupt(x, noise,"
            " generator))[0]), x).mean()"
        ),
        "sampled": (
            "mu, logvar = model.encode(corrupt(x, noise, generator))\nreturn"
            " -bernoulli_log_likelihood(model.decode(reparameterize(mu, logvar, generator)), x)"
        ),
        "mean-over-pixels": (
            "return -bernoulli_log_likelihood(model.decode(model.encode(corrupt(x, noise,"
            " generator))[0]), x) / x.shape[-1]"
        ),
        "pixels-inverted": (
            "m = torch.rand(x.shape, generator=generator) < noise\nn = torch.where(m, 1 - x,"
            " x)\nreturn -bernoulli_log_likelihood(model.decode(model.encode(n)[0]), x)"
        ),
        "squeezed": (
            "return -bernoulli_log_likelihood(model.decode(model.encode(corrupt(x, noise, "
            "generator))[0]), x).squeeze()"
        ),
        "summed-over-all": (
            "return -bernoulli_log_likelihood(model.decode(model.encode(corrupt(x, noise, "
            "generator))[0]), x).sum()"
        ),
    },
    "distance": {
        "mean-of-dimensions": (
            "return gaussian_kl(codes.mean(dim=0), codes.var(dim=0).log()).item() / codes.shape[1]"
        ),
        "twice": "return 2 * gaussian_kl(codes.mean(dim=0), codes.var(dim=0).log()).item()",
        "reversed": (
            "m, v = codes.mean(dim=0), codes.var(dim=0)\nreturn (0.5 * ((1 + m.square()) / v - 1 +"
            " v.log()).sum()).item()"
        ),
        "second-moment": (
            "return gaussian_kl(codes.mean(dim=0), codes.square().mean(dim=0).log()).item()"
        ),
        "no-mean": "return gaussian_kl(torch.zeros(codes.shape[1]), codes.var(dim=0).log()).item()",
        "no-variance": "return gaussian_kl(codes.mean(dim=0), torch.zeros(codes.shape[1])).item()",
        "full-covariance": (
            "m = codes.mean(dim=0)\nc = torch.cov(codes.T)\nreturn (0.5 * (torch.trace(c) + m @ m -"
            " len(m) - torch.logdet(c))).item()"
        ),
        "global-moments": (
            "return gaussian_kl(codes.mean().view(1), codes.var().log().view(1)).item()"
        ),
        "minus": "return -gaussian_kl(codes.mean(dim=0), codes.var(dim=0).log()).item()",
        "zero-dim": (
            "return gaussian_kl(codes.mean(dim=0), codes.var(dim=0).log()).detach().numpy()"
        ),
        "standardised-in-place": (
            "v = gaussian_kl(codes.mean(dim=0),"
            " codes.var(dim=0).log()).item()\ncodes.sub_(codes.mean(dim=0))\nreturn v"
        ),
        "norms": "return (codes.norm(dim=1).mean() - math.sqrt(codes.shape[1])).abs().item()",
        "median": "return gaussian_kl(codes.median(dim=0).values, codes.var(dim=0).log()).item()",
        "sigma": "return gaussian_kl(codes.mean(dim=0), codes.std(dim=0)).item()",
        "item-of-vector": (
            "return (0.5 * (codes.mean(0) ** 2 + codes.var(0) - 1 - codes.var(0).log())).item()"
        ),
        "vector": ("return 0.5 * (codes.mean(0) ** 2 + codes.var(0) - 1 - codes.var(0).log())"),
        "vector-of-numpy": (
            "return (0.5 * (codes.mean(0) ** 2 + codes.var(0) - 1 - codes.var(0).log())).numpy()"
        ),
    },
    "separation": {
        "ten-classes": (
            "c = codes.mean(dim=0)\nb = sum((labels == k).sum() * (codes[labels == k].mean(dim=0) -"
            " c).square().sum() for k in range(10))\nreturn (b / (codes - c).square().sum()).item()"
        ),
        "two-classes": (
            "c = codes.mean(dim=0)\nb = sum((labels == k).sum() * (codes[labels == k].mean(dim=0) -"
            " c).square().sum() for k in labels.unique()[:2])\nreturn (b / (codes -"
            " c).square().sum()).item()"
        ),
        "centre-of-means": (
            "means = torch.stack([codes[labels == k].mean(dim=0) for k in labels.unique()])\nc ="
            " means.mean(dim=0)\nb = sum((labels == k).sum() * (codes[labels == k].mean(dim=0) -"
            " c).square().sum() for k in labels.unique())\nreturn (b / (codes -"
            " c).square().sum()).item()"
        ),
        "per-coordinate": (
            "c = codes.mean(dim=0)\nm = torch.zeros_like(codes)\nfor k in labels.unique():\n   "
            " m[labels == k] = codes[labels == k].mean(dim=0)\nreturn ((m - c).square().sum(dim=0)"
            " / (codes - c).square().sum(dim=0)).mean().item()"
        ),
        "unbiased-between": (
            "c = codes.mean(dim=0)\nb = sum((labels == k).sum() * (codes[labels == k].mean(dim=0) -"
            " c).square().sum() for k in labels.unique()) / (len(labels.unique()) - 1)\nreturn (b /"
            " ((codes - c).square().sum() / (len(codes) - 1))).item()"
        ),
        "root": (
            "c = codes.mean(dim=0)\nb = sum((labels == k).sum() * (codes[labels == k].mean(dim=0) -"
            " c).square().sum() for k in labels.unique())\nreturn (b / (codes -"
            " c).square().sum()).sqrt().item()"
        ),
        "medians": (
            "c = codes.mean(dim=0)\nb = sum((labels == k).sum() * (codes[labels =="
            " k].median(dim=0).values - c).square().sum() for k in labels.unique())\nreturn (b /"
            " (codes - c).square().sum()).item()"
        ),
        "first-coordinate": (
            "codes = codes[:, :1]\nc = codes.mean(dim=0)\nb = sum((labels == k).sum() *"
            " (codes[labels == k].mean(dim=0) - c).square().sum() for k in labels.unique())\nreturn"
            " (b / (codes - c).square().sum()).item()"
        ),
        "percent": (
            "c = codes.mean(dim=0)\nb = sum((labels == k).sum() * (codes[labels == k].mean(dim=0) -"
            " c).square().sum() for k in labels.unique())\nreturn 100 * (b / (codes -"
            " c).square().sum()).item()"
        ),
        "tensor": (
            "c = codes.mean(dim=0)\nb = sum((labels == k).sum() * (codes[labels == k].mean(dim=0) -"
            " c).square().sum() for k in labels.unique())\nreturn b / (codes - c).square().sum()"
        ),
        "moved-in-place": (
            "c = codes.mean(dim=0)\nt = (codes - c).square().sum()\nfor k in labels.unique():\n   "
            " codes[labels == k] = codes[labels == k].mean(dim=0)\nreturn ((codes -"
            " c).square().sum() / t).item()"
        ),
        "labels-as-codes": (
            "l = labels.float()\nreturn (torch.corrcoef(torch.stack([codes[:, 0], l]))[0, 1] **"
            " 2).item()"
        ),
        "silhouette": (
            "from sklearn.metrics import silhouette_score\nreturn"
            " float(silhouette_score(codes.numpy(), labels.numpy()))"
        ),
        "always-half": "return 0.5",
        "numpy-float32": (
            "import numpy as np\nc = codes.numpy()\nl = labels.numpy()\nm = np.zeros_like(c)\nfor "
            "k in np.unique(l):\n    m[l == k] = c[l == k].mean(0)\ng = c.mean(0)\nreturn ((m - "
            "g) ** 2).sum() / ((c - g) ** 2).sum()"
        ),
        "labels-counted-up": (
            "c = codes.mean(dim=0)\nm = codes.clone()\nfor k in range(len(labels.unique())):\n    "
            "if (labels == k).any():\n        m[labels == k] = codes[labels == k].mean(dim=0)\n"
            "return ((m - c).square().sum() / (codes - c).square().sum()).item()"
        ),
        "others-at-zero": (
            "c = codes.mean(dim=0)\nm = torch.zeros_like(codes)\nfor k in "
            "range(len(labels.unique())):\n    m[labels == k] = codes[labels == k].mean(dim=0)\n"
            "return ((m - c).square().sum() / (codes - c).square().sum()).item()"
        ),
        "unweighted-sum": (
            "c = codes.mean(dim=0)\nb = 0\nfor k in labels.unique():\n    mine = codes[labels == "
            "k]\n    b = b + (mine.mean(dim=0) - c).square().sum()\nreturn (b / (codes - "
            "c).square().sum()).item()"
        ),
        "variance-of-means": (
            "means = torch.stack([codes[labels == k].mean(dim=0) for k in labels.unique()])\n"
            "return (means.var(dim=0).sum() / codes.var(dim=0).sum()).item()"
        ),
        "centre-of-all-numbers": (
            "c = codes.mean()\nm = torch.zeros_like(codes)\nfor k in labels.unique():\n    "
            "m[labels == k] = codes[labels == k].mean(dim=0)\nreturn ((m - c).square().sum() / "
            "(codes - c).square().sum()).item()"
        ),
        "class-means-of-all-numbers": (
            "c = codes.mean(dim=0)\nm = torch.zeros_like(codes)\nfor k in labels.unique():\n    "
            "m[labels == k] = codes[labels == k].mean()\nreturn ((m - c).square().sum() / (codes "
            "- c).square().sum()).item()"
        ),
        "trailing-comma": (
            "c = codes.mean(dim=0)\nm = torch.zeros_like(codes)\nfor k in labels.unique():\n    "
            "m[labels == k] = codes[labels == k].mean(dim=0)\nreturn ((m - c).square().sum() / "
            "(codes - c).square().sum()).item(),"
        ),
    },
}

CHANGED = {
    "kl": {
        "argument-added": {"(mu, logvar)": "(mu, logvar, beta)"},
    },
    "sample": {
        "argument-inserted": {"(mu, logvar, generator=None)": "(mu, logvar, eps, generator=None)"},
        "argument-removed": {
            "(mu, logvar, generator=None)": "(mu, logvar)",
            ", generator=generator": "",
        },
    },
    "likelihood": {
        "arguments-exchanged": {"(logits, x):": "(x, logits):"},
    },
    "elbo": {
        "argument-removed": {", generator=None)": ")", ", generator)": ")"},
    },
    "model": {
        "argument-renamed": {
            "latent_dim=20": "latent=20",
            "latent_dim)": "latent)",
            "(latent_dim": "(latent",
            "= latent_dim": "= latent",
        },
        "encode-renamed": {"def encode(": "def encoding("},
        "decode-renamed": {"def decode(": "def decoding("},
        "no-module": {"class VAE(nn.Module)": "class VAE", "        super().__init__()\n": ""},
        "no-super": {"        super().__init__()\n": ""},
    },
    "step": {
        "arguments-exchanged": {"(model, optimizer, x, loss)": "(optimizer, model, x, loss)"},
    },
    "dae": {
        "argument-renamed": {"noise=0.3": "p=0.3", "(x, noise,": "(x, p,"},
    },
    "corrupt": {
        "argument-removed": {
            "(x, noise, generator=None)": "(x, generator=None)",
            "< noise": "< 0.3",
        },
    },
}
