"""Right answers to the tasks of Tutorial 7 that look unusual, all of which must earn full points:
{task: {name: code}}.

The code is the body of the task's function (of VAE: three bodies, __init__, encode and decode,
divided by a line `---`).
"""

RIGHT = {
    "sample": {
        "normal_": (
            "e = torch.empty_like(mu).normal_(generator=generator)\nreturn mu + e *"
            " logvar.exp().sqrt()"
        ),
        "torch.normal-noise": (
            "e = torch.normal(torch.zeros(mu.shape), torch.ones(mu.shape),"
            " generator=generator)\nreturn torch.addcmul(mu, e, (0.5 * logvar).exp())"
        ),
        "box-muller": (
            "u = 1 - torch.rand(mu.shape, generator=generator)\nv = torch.rand(mu.shape,"
            " generator=generator)\nreturn mu + torch.exp(logvar / 2) * torch.sqrt(-2 *"
            " torch.log(u)) * torch.cos(2 * math.pi * v)"
        ),
        "minus-epsilon": (
            "return mu - torch.exp(0.5 * logvar) * torch.randn(mu.shape, generator=generator)"
        ),
        "size-call": (
            "sigma = torch.pow(math.e, logvar / 2)\nreturn sigma.mul(torch.randn(*mu.size(),"
            " generator=generator)).add(mu)"
        ),
        "like-device": (
            "e = torch.randn(mu.size(), generator=generator, device=mu.device, dtype=mu.dtype)\nz ="
            " mu + torch.exp(logvar / 2) * e\nassert z.shape == mu.shape\nreturn z"
        ),
        "inverse-cdf": (
            "u = torch.rand(mu.shape, generator=generator, dtype=torch.float64)\nreturn mu +"
            " torch.exp(logvar / 2) * torch.special.ndtri(u.clamp(1e-12, 1 - 1e-12)).float()"
        ),
    },
    "kl": {
        "distributions": (
            "from torch.distributions import Normal, kl_divergence\nreturn kl_divergence(Normal(mu,"
            " torch.exp(logvar / 2)), Normal(torch.zeros_like(mu), torch.ones_like(mu))).sum(-1)"
        ),
        "expm1": "return ((mu ** 2).sum(-1) + (torch.expm1(logvar) - logvar).sum(-1)) / 2",
        "einsum": (
            "t = mu * mu + torch.exp(logvar) - logvar - 1.0\nreturn 0.5 *"
            " torch.einsum('...j->...', t)"
        ),
        "minus-l2": "return -0.5 * torch.sum(1 + logvar - mu.pow(2) - logvar.exp(), -1)",
        "loop": (
            "total = torch.zeros(mu.shape[:-1])\nfor j in range(mu.shape[-1]):\n    m, v = mu[...,"
            " j], logvar[..., j]\n    total = total + 0.5 * (m * m + v.exp() - 1 - v)\nreturn total"
        ),
        "sigma": (
            "sigma = torch.exp(0.5 * logvar)\nreturn (0.5 * (mu ** 2 + sigma ** 2 - 1) -"
            " torch.log(sigma)).sum(-1)"
        ),
        "independent": (
            "from torch import distributions as d\nq = d.Independent(d.Normal(mu, (logvar /"
            " 2).exp()), 1)\np = d.Independent(d.Normal(torch.zeros_like(mu), 1.0), 1)\nreturn"
            " d.kl_divergence(q, p)"
        ),
        "dim": (
            "j = mu.size(-1)\nreturn 0.5 * (mu.square().sum(-1) + logvar.exp().sum(-1) - j -"
            " logvar.sum(-1))"
        ),
    },
    "likelihood": {
        "distributions": "return torch.distributions.Bernoulli(logits=logits).log_prob(x).sum(-1)",
        "softplus": "return (x * logits - F.softplus(logits)).sum(-1)",
        "two-logsigmoids": (
            "return (x * F.logsigmoid(logits) + (1 - x) * F.logsigmoid(-logits)).sum(dim=-1)"
        ),
        "signed": "return F.logsigmoid((2 * x - 1) * logits).sum(-1)",
        "where": "return torch.where(x > 0.5, F.logsigmoid(logits), F.logsigmoid(-logits)).sum(-1)",
        "logaddexp": (
            "return (x * logits - torch.logaddexp(logits, torch.zeros_like(logits))).sum(-1)"
        ),
        "module": (
            "x = x.expand(logits.shape)\nreturn -nn.BCEWithLogitsLoss(reduction='none')(logits,"
            " x).sum(-1)"
        ),
        "broadcast_tensors": (
            "a, b = torch.broadcast_tensors(logits, x)\nreturn"
            " -F.binary_cross_entropy_with_logits(a, b, reduction='none').sum(-1)"
        ),
        "max-trick": (
            "s = logits.clamp(min=0) + torch.log1p(torch.exp(-logits.abs()))\nreturn (x * logits -"
            " s).sum(-1)"
        ),
    },
    "elbo": {
        "loop": (
            "mu, logvar = model.encode(x)\ntotal = 0\nfor _ in range(n_samples):\n    z ="
            " reparameterize(mu, logvar, generator)\n    total = total +"
            " bernoulli_log_likelihood(model.decode(z), x)\nreturn total / n_samples -"
            " gaussian_kl(mu, logvar)"
        ),
        "list": (
            "mu, logvar = model.encode(x)\ndraws = [model.decode(reparameterize(mu, logvar,"
            " generator)) for _ in range(n_samples)]\nreturn"
            " torch.stack([bernoulli_log_likelihood(d, x) for d in draws]).mean(0) -"
            " gaussian_kl(mu, logvar)"
        ),
        "repeat": (
            "mu, logvar = model.encode(x)\nz = reparameterize(mu.repeat(n_samples, 1, 1),"
            " logvar.repeat(n_samples, 1, 1), generator)\nreturn"
            " bernoulli_log_likelihood(model.decode(z), x).mean(dim=0) - gaussian_kl(mu, logvar)"
        ),
        "flat": (
            "mu, logvar = model.encode(x)\nb = len(x)\nz = reparameterize(mu.repeat(n_samples, 1),"
            " logvar.repeat(n_samples, 1), generator)\nv ="
            " bernoulli_log_likelihood(model.decode(z), x.repeat(n_samples, 1))\nreturn"
            " v.reshape(n_samples, b).mean(0) - gaussian_kl(mu, logvar)"
        ),
        "encode-repeated": (
            "b = len(x)\nmany = x.repeat_interleave(n_samples, dim=0)\nmu, logvar ="
            " model.encode(many)\nz = reparameterize(mu, logvar, generator)\nv ="
            " bernoulli_log_likelihood(model.decode(z), many) - gaussian_kl(mu, logvar)\nreturn"
            " v.reshape(b, n_samples).mean(dim=1)"
        ),
        "batch-first": (
            "mu, logvar = model.encode(x)\nmu2, logvar2 = (t.unsqueeze(1).expand(-1, n_samples, -1)"
            " for t in (mu, logvar))\nlogits = model.decode(reparameterize(mu2, logvar2,"
            " generator)).transpose(0, 1)\nreturn bernoulli_log_likelihood(logits, x).mean(0) -"
            " gaussian_kl(mu, logvar)"
        ),
        "own-noise": (
            "mu, logvar = model.encode(x)\neps = torch.randn((n_samples,) + tuple(mu.shape),"
            " generator=generator)\nz = mu + eps * (logvar / 2).exp()\nrec ="
            " bernoulli_log_likelihood(model.decode(z), x)\nreturn (rec - gaussian_kl(mu,"
            " logvar)).mean(0)"
        ),
        "minus-loss": (
            "mu, logvar = model.encode(x)\nkl = gaussian_kl(mu, logvar)\nz ="
            " torch.stack([reparameterize(mu, logvar, generator) for _ in range(n_samples)])\nloss"
            " = kl - bernoulli_log_likelihood(model.decode(z), x).mean(dim=0)\nreturn -loss"
        ),
        "by-image": (
            "mu, logvar = model.encode(x)\nvalues = []\nfor i in range(len(x)):\n    z = "
            "reparameterize(mu[i].repeat(n_samples, 1), logvar[i].repeat(n_samples, 1), "
            "generator)\n    values.append(bernoulli_log_likelihood(model.decode(z), "
            "x[i]).mean())\nreturn torch.stack(values) - gaussian_kl(mu, logvar)"
        ),
        "images-backwards": (
            "mu, logvar = model.encode(x)\nshape = (n_samples, *mu.shape)\nz = "
            "reparameterize(mu.flip(0).expand(shape), logvar.flip(0).expand(shape), "
            "generator)\nreturn bernoulli_log_likelihood(model.decode(z), "
            "x.flip(0)).mean(0).flip(0) - gaussian_kl(mu, logvar)"
        ),
    },
    "model": {
        "one-head-chunk": (
            "self.body = nn.Sequential(nn.Linear(n_pixels, hidden), nn.ReLU(), nn.Linear(hidden, 2"
            " * latent_dim))\nself.head = nn.Sequential(nn.Linear(latent_dim, hidden), nn.ReLU(),"
            " nn.Linear(hidden, n_pixels))\n---\nmu, logvar = self.body(x).chunk(2, dim=-1)\nreturn"
            " mu, logvar\n---\nreturn self.head(z)"
        ),
        "split-reversed": (
            "self.j = latent_dim\nself.one = nn.Linear(n_pixels, hidden)\nself.two ="
            " nn.Linear(hidden, 2 * latent_dim)\nself.three = nn.Linear(latent_dim,"
            " hidden)\nself.four = nn.Linear(hidden, n_pixels)\n---\nlogvar, mu ="
            " torch.split(self.two(torch.relu(self.one(x))), self.j, dim=-1)\nreturn (mu,"
            " logvar)\n---\nreturn self.four(torch.relu(self.three(z)))"
        ),
        "dict": (
            "self.net = nn.ModuleDict({'a': nn.Linear(n_pixels, hidden), 'm': nn.Linear(hidden,"
            " latent_dim), 'v': nn.Linear(hidden, latent_dim), 'd': nn.Linear(latent_dim, hidden),"
            " 'o': nn.Linear(hidden, n_pixels)})\n---\nh = self.net['a'](x).clamp(min=0)\nreturn"
            " self.net['m'](h), self.net['v'](h)\n---\nreturn"
            " self.net['o'](self.net['d'](z).clamp_min(0))"
        ),
        "list": (
            "self.net = nn.ModuleList([nn.Linear(latent_dim, hidden), nn.Linear(hidden, n_pixels),"
            " nn.Linear(n_pixels, hidden), nn.Linear(hidden, latent_dim), nn.Linear(hidden,"
            " latent_dim)])\n---\nh = F.relu(self.net[2](x))\nreturn self.net[3](h),"
            " self.net[4](h)\n---\nreturn self.net[1](F.relu(self.net[0](z)))"
        ),
        "heads-exchanged-order": (
            "self.v = nn.Linear(hidden, latent_dim)\nself.m = nn.Linear(hidden, latent_dim)\nself.o"
            " = nn.Linear(hidden, n_pixels)\nself.d = nn.Linear(latent_dim, hidden)\nself.e ="
            " nn.Linear(n_pixels, hidden)\n---\nh = torch.maximum(self.e(x),"
            " torch.tensor(0.0))\nreturn self.m(h), self.v(h)\n---\nreturn"
            " self.o(F.relu(self.d(z)))"
        ),
        "zero-start": (
            "self.e = nn.Linear(n_pixels, hidden)\nself.m, self.v = nn.Linear(hidden, latent_dim),"
            " nn.Linear(hidden, latent_dim)\nself.d, self.o = nn.Linear(latent_dim, hidden),"
            " nn.Linear(hidden,"
            " "
            "n_pixels)\nnn.init.zeros_(self.v.weight)\nnn.init.zeros_(self.v.bias)\n"
            "nn.init.zeros_(self.o.weight)\nnn.init.constant_(self.o.bias,"
            " -2.0)\n---\nh = F.relu(self.e(x.float()))\nreturn self.m(h), self.v(h)\n---\nreturn"
            " self.o(F.relu(self.d(z)))"
        ),
        "submodules": (
            "class Net(nn.Module):\n    def __init__(self, *widths):\n        super().__init__()\n "
            "       self.a, self.b = nn.Linear(widths[0], widths[1]), nn.Linear(widths[1],"
            " widths[2])\n    def forward(self, x):\n        return"
            " self.b(F.relu(self.a(x)))\nself.enc, self.dec = Net(n_pixels, hidden, 2 *"
            " latent_dim), Net(latent_dim, hidden, n_pixels)\n---\nout = self.enc(x)\nreturn"
            " out[..., :self.latent_dim], out[..., self.latent_dim:]\n---\nreturn self.dec(z)"
        ),
        "flatten": (
            "self.e = nn.Sequential(nn.Flatten(), nn.Linear(n_pixels, hidden),"
            " nn.ReLU(inplace=True))\nself.m = nn.Sequential(nn.Linear(hidden, latent_dim))\nself.v"
            " = nn.Sequential(nn.Linear(hidden, latent_dim))\nself.d ="
            " nn.Sequential(nn.Linear(latent_dim, hidden), nn.ReLU(True), nn.Linear(hidden,"
            " n_pixels))\n---\nh = self.e(x)\nreturn tuple(head(h) for head in (self.m,"
            " self.v))\n---\nshape = z.shape[:-1]\nreturn self.d(z.reshape(-1,"
            " self.latent_dim)).reshape(*shape, -1)"
        ),
        "one-head-alternating": (
            "self.body = nn.Sequential(nn.Linear(n_pixels, hidden), nn.ReLU(), nn.Linear(hidden, "
            "2 * latent_dim))\nself.head = nn.Sequential(nn.Linear(latent_dim, hidden), "
            "nn.ReLU(), nn.Linear(hidden, n_pixels))\n---\nq = self.body(x)\nreturn q[..., ::2], "
            "q[..., 1::2]\n---\nreturn self.head(z)"
        ),
        "namedtuple": (
            "self.a, self.m, self.v = nn.Linear(n_pixels, hidden), nn.Linear(hidden, latent_dim), "
            "nn.Linear(hidden, latent_dim)\nself.b, self.c = nn.Linear(latent_dim, hidden), "
            "nn.Linear(hidden, n_pixels)\n---\nfrom collections import namedtuple\nh = "
            "F.relu(self.a(x))\nreturn namedtuple('Code', 'mu logvar')(self.m(h), self.v(h))\n"
            "---\nreturn self.c(F.relu(self.b(z)))"
        ),
        "one-head-of-pairs": (
            "self.body = nn.Sequential(nn.Linear(n_pixels, hidden), nn.ReLU(), nn.Linear(hidden, "
            "2 * latent_dim))\nself.head = nn.Sequential(nn.Linear(latent_dim, hidden), "
            "nn.ReLU(), nn.Linear(hidden, n_pixels))\n---\nreturn self.body(x).view(len(x), "
            "self.latent_dim, 2).unbind(-1)\n---\nreturn self.head(z)"
        ),
    },
    "step": {
        "zero-first": (
            "optimizer.zero_grad()\nvalues = loss(model, x)\nm ="
            " values.mean()\nm.backward()\noptimizer.step()\nreturn float(m)"
        ),
        "closure": (
            "def closure():\n    optimizer.zero_grad()\n    l = loss(model, x).mean()\n   "
            " l.backward()\n    return l\nreturn optimizer.step(closure).item()"
        ),
        "not-to-none": (
            "optimizer.zero_grad(set_to_none=False)\nl = torch.mean(loss(model,"
            " x))\nl.backward()\noptimizer.step()\nreturn l.detach().cpu().item()"
        ),
        "backward-of-ones": (
            "v = loss(model, x)\noptimizer.zero_grad()\nv.backward(torch.full_like(v, 1 /"
            " len(v)))\noptimizer.step()\nreturn v.detach().mean().item()"
        ),
        "autograd.grad": (
            "m = loss(model, x).mean()\nps = [p for g in optimizer.param_groups for p in"
            " g['params']]\nfor p, g in zip(ps, torch.autograd.grad(m, ps)):\n    p.grad ="
            " g\noptimizer.step()\nreturn m.item()"
        ),
        "train-mode": (
            "model.train()\nl = loss(model, x).sum() / x.shape[0]\nfor p in model.parameters():\n  "
            "  p.grad = None\nl.backward()\noptimizer.step()\nreturn l.tolist()"
        ),
        "numpy-float64": (
            "import numpy as np\nl = loss(model, x).mean()\noptimizer.zero_grad()\nl.backward()\n"
            "optimizer.step()\nreturn np.float64(l.item())"
        ),
        "loss-by-keywords": (
            "l = loss(model=model, x=x).mean()\noptimizer.zero_grad()\nl.backward()\n"
            "optimizer.step()\nreturn l.item()"
        ),
    },
    "settings": {
        "five-slow": "return 5, 5e-3",
        "names": "epochs = 4\npeak = 1e-2\nreturn epochs, peak",
        "numpy": "import numpy as np\nreturn np.int64(5), np.float32(8e-3)",
    },
    "reconstruct": {
        "no-grad": "with torch.no_grad():\n    return model.decode(model.encode(x)[0]).sigmoid()",
        "eval": (
            "model.eval()\nmean, _ = model.encode(x)\nreturn 1 / (1 +"
            " torch.exp(-model.decode(mean)))"
        ),
        "bernoulli": (
            "return torch.distributions.Bernoulli(logits=model.decode(model.encode(x)[0])).probs"
        ),
        "by-image": (
            "return torch.cat([torch.sigmoid(model.decode(model.encode(i.unsqueeze(0))[0])) for i"
            " in x])"
        ),
    },
    "generate": {
        "normal": (
            "z = torch.normal(0.0, 1.0, (n, model.latent_dim), generator=generator)\nreturn"
            " F.sigmoid(model.decode(z))"
        ),
        "one-by-one": (
            "images = []\nfor _ in range(n):\n    z = torch.randn(model.latent_dim,"
            " generator=generator)\n    images.append(torch.sigmoid(model.decode(z)))\nreturn"
            " torch.stack(images)"
        ),
        "transposed": (
            "z = torch.randn(model.latent_dim, n, generator=generator).T\nreturn"
            " torch.sigmoid(model.decode(z))"
        ),
        "device": (
            "device = next(model.parameters()).device\nz = torch.randn(n, model.latent_dim,"
            " generator=generator).to(device)\nwith torch.no_grad():\n    return"
            " torch.sigmoid(model.decode(z))"
        ),
        "reparameterize": (
            "zero = torch.zeros(n, model.latent_dim)\nreturn"
            " torch.sigmoid(model.decode(reparameterize(zero, zero, generator)))"
        ),
    },
    "interpolate": {
        "lerp": (
            "a, b = model.encode(torch.stack([x_a, x_b]))[0]\nreturn"
            " torch.sigmoid(torch.stack([model.decode(torch.lerp(a, b, i / (steps - 1))) for i in"
            " range(steps)]))"
        ),
        "two-encodes": (
            "a = model.encode(x_a.unsqueeze(0))[0]\nb = model.encode(x_b[None])[0]\nw ="
            " torch.arange(steps).view(-1, 1) / (steps - 1)\nreturn model.decode(a + w * (b -"
            " a)).sigmoid()"
        ),
        "bare-images": (
            "a, b = model.encode(x_a)[0], model.encode(x_b)[0]\nw = torch.linspace(1, 0, steps)[:,"
            " None]\nreturn torch.sigmoid(model.decode(w * a + (1 - w) * b))"
        ),
        "outer": (
            "mu = model.encode(torch.stack((x_b, x_a)))[0]\nw = torch.linspace(0, 1, steps)\nreturn"
            " torch.sigmoid(model.decode(torch.stack([w, 1 - w], dim=1) @ mu))"
        ),
        "numpy": (
            "import numpy as np\nmu = model.encode(torch.stack([x_a, x_b]))[0].detach().numpy()\nz"
            " = np.linspace(mu[0], mu[1], steps)\nreturn"
            " torch.sigmoid(model.decode(torch.from_numpy(z).float()))"
        ),
        "squeezed": (
            "mu, _ = model.encode(torch.stack([x_a, x_b]))\nt = torch.linspace(0, 1, "
            "steps).unsqueeze(1)\nreturn torch.sigmoid(model.decode((1 - t) * mu[0] + t * "
            "mu[1])).squeeze()"
        ),
    },
    "corrupt": {
        "one-draw": (
            "u = torch.rand(x.shape, generator=generator)\ny = x.clone()\ny[u < noise] = 0\ny[u <"
            " noise / 2] = 1\nreturn y"
        ),
        "bernoulli": (
            "mask = torch.bernoulli(torch.full(x.shape, float(noise)), generator=generator)\ncoin ="
            " torch.randint(0, 2, x.shape, generator=generator).to(x.dtype)\nreturn mask * coin +"
            " (1 - mask) * x"
        ),
        "flips": (
            "flip = torch.rand(x.shape, generator=generator) < noise / 2\nreturn torch.where(flip,"
            " 1 - x, x)"
        ),
        "xor": (
            "flip = torch.rand(x.shape, generator=generator) < noise / 2\nreturn (x.bool() ^"
            " flip).float()"
        ),
        "by-image": (
            "out = []\nfor row in x:\n    m = torch.rand(row.shape, generator=generator) < noise\n "
            "   c = torch.rand(row.shape, generator=generator).round()\n   "
            " out.append(torch.where(m, c, row))\nreturn torch.stack(out)"
        ),
    },
    "ae": {
        "bce": (
            "logits = model.decode(model.encode(x)[0])\nreturn"
            " F.binary_cross_entropy_with_logits(logits, x, reduction='none').sum(dim=-1)"
        ),
        "index": (
            "code = model.encode(x)[0]\nreturn bernoulli_log_likelihood(model.decode(code),"
            " x).neg()"
        ),
        "sample-axis": (
            "mu, _ = model.encode(x)\nreturn"
            " -bernoulli_log_likelihood(model.decode(mu.unsqueeze(0)), x).squeeze(0)"
        ),
        "by-image": (
            "return "
            "torch.cat([-bernoulli_log_likelihood(model.decode(model.encode(i[None])[0]), "
            "i[None]) for i in x])"
        ),
        "encode-twice": (
            "mu, logvar = model.encode(x)[0], model.encode(x)[1]\nreturn "
            "-bernoulli_log_likelihood(model.decode(mu), x)"
        ),
    },
    "dae": {
        "ae-like": (
            "noisy = corrupt(x.clone(), noise, generator=generator)\nmu ="
            " model.encode(noisy)[0]\nreturn -1 * bernoulli_log_likelihood(model.decode(mu), x)"
        ),
        "own-corruption": (
            "flip = torch.rand(x.shape, generator=generator) < noise / 2\nmu, _ ="
            " model.encode(torch.where(flip, 1 - x, x))\nreturn"
            " F.binary_cross_entropy_with_logits(model.decode(mu), x, reduction='none').sum(-1)"
        ),
        "keywords": (
            "mu, logvar = model.encode(corrupt(x=x, noise=noise, generator=generator))\nreturn"
            " -bernoulli_log_likelihood(logits=model.decode(mu), x=x)"
        ),
        "by-image": (
            "noisy = corrupt(x, noise, generator)\nreturn "
            "torch.stack([-bernoulli_log_likelihood(model.decode(model.encode(n)[0]), i) for "
            "n, i in zip(noisy, x)])"
        ),
    },
    "distance": {
        "biased": (
            "m = codes.mean(0)\nv = codes.var(0, unbiased=False)\nreturn float(gaussian_kl(m,"
            " torch.log(v)))"
        ),
        "numpy": (
            "c = codes.numpy().astype('float64')\nm, v = c.mean(0), c.var(0)\nreturn float(0.5 * (m"
            " ** 2 + v - 1 - __import__('numpy').log(v)).sum())"
        ),
        "distributions": (
            "from torch.distributions import Normal, kl_divergence\nq = Normal(codes.mean(0),"
            " codes.std(0))\nreturn kl_divergence(q, Normal(0.0, 1.0)).sum().item()"
        ),
        "batch-of-one": (
            "mean, std = codes.mean(0, keepdim=True), codes.std(0, keepdim=True)\nreturn"
            " gaussian_kl(mean, 2 * std.log())[0].item()"
        ),
        "numpy-float64": (
            "import numpy as np\nc = codes.numpy().astype('float64')\nm, v = c.mean(0), c.var(0)\n"
            "return 0.5 * (m ** 2 + v - 1 - np.log(v)).sum()"
        ),
    },
    "separation": {
        "one-hot": (
            "onehot = (labels[:, None] == labels.unique()[None]).float()\nc = codes -"
            " codes.mean(0)\nsums = onehot.T @ c\nreturn ((sums.square().sum(1) /"
            " onehot.sum(0)).sum() / c.square().sum()).item()"
        ),
        "one-minus-within": (
            "total = (codes - codes.mean(0)).square().sum()\nwithin = sum((codes[labels == k] -"
            " codes[labels == k].mean(0)).square().sum() for k in set(labels.tolist()))\nreturn"
            " float(1 - within / total)"
        ),
        "inverse": (
            "_, i, n = labels.unique(return_inverse=True, return_counts=True)\nm ="
            " torch.zeros(len(n), codes.shape[1]).index_add_(0, i, codes) / n[:, None]\nc ="
            " codes.mean(0)\nreturn ((m[i] - c).pow(2).sum() / (codes - c).pow(2).sum()).item()"
        ),
        "ten-guarded": (
            "c = codes.mean(dim=0)\nb = 0.0\nfor k in range(10):\n    mine = codes[labels == k]\n  "
            "  if len(mine):\n        b += len(mine) * (mine.mean(0) -"
            " c).square().sum().item()\nreturn b / (codes - c).square().sum().item()"
        ),
        "double": (
            "codes = codes.double()\nc = codes.mean(0)\nb = torch.zeros(())\nfor k in"
            " labels.unique():\n    mine = codes[labels == k]\n    b = b + len(mine) *"
            " ((mine.mean(0) - c) ** 2).sum()\nreturn (b / ((codes - c) ** 2).sum()).item()"
        ),
        "numpy-float64": (
            "import numpy as np\nc = codes.numpy().astype('float64')\nl = labels.numpy()\nm = "
            "np.zeros_like(c)\nfor k in np.unique(l):\n    m[l == k] = c[l == k].mean(0)\ng = "
            "c.mean(0)\nreturn ((m - g) ** 2).sum() / ((c - g) ** 2).sum()"
        ),
    },
}
