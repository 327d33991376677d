"""Models: those of the settings, and every other under the name its upstreams give it."""

import msgspec

from tokenweir.catalog.price import Bracket, Price, Rates
from tokenweir.cli.kinds import PriceSetting
from tokenweir.cli.offers import Draft, Offer
from tokenweir.cli.settings import ModelSettings
from tokenweir.cli.settings_file import nearest
from tokenweir.core.errors import SettingsError
from tokenweir.gateway.config import DeploymentConfig, ModelConfig


def explicit_model(setting: ModelSettings, drafts: dict[str, Draft]) -> ModelConfig:
    """A `[[model]]`, whose price and maximum go over what its upstreams offer. Raises SettingsError."""
    if not setting.deployments:
        raise SettingsError(f"model {setting.name!r}: deployments is empty; name at least one upstream/model")
    for deployment in setting.deployments:
        _settle_offer(setting, deployment, drafts)
    if len(set(setting.deployments)) < len(setting.deployments):
        raise SettingsError(f"model {setting.name!r}: a deployment stands twice")
    return ModelConfig(name=setting.name, deployments=setting.deployments, aliases=setting.aliases)


def _settle_offer(setting: ModelSettings, deployment: str, drafts: dict[str, Draft]) -> None:
    """Put what the settings say of a deployment over what its upstream offers."""
    upstream, slash, model = deployment.partition("/")
    if not slash or not model:
        raise SettingsError(f"model {setting.name!r}: {deployment!r} must be written upstream/model")
    draft = drafts.get(upstream)
    if draft is None:
        raise SettingsError(
            f"model {setting.name!r}: deployment {deployment!r} names the upstream {upstream!r}, "
            f"which there is not; {nearest(upstream, drafts)}"
        )
    offer = draft.offers.get(model) or Offer(model=model)
    if setting.price is not None:
        price = price_of(setting.price)
        if offer.prices and offer.prices != (price,) and offer.prices[0].ref == price.ref:
            raise SettingsError(f"deployment {deployment!r} has two prices in the settings; give it one")
        offer = msgspec.structs.replace(offer, prices=(price,))
    if setting.max_output is not None:
        offer = msgspec.structs.replace(offer, max_output=setting.max_output)
    draft.offers[model] = offer


def price_of(setting: PriceSetting) -> Price:
    """The price of a `[[model]]`, valid always."""
    rates = Rates(
        input=setting.input,
        output=setting.output,
        cache_read=setting.cache_read,
        cache_write_5m=setting.cache_write_5m,
        cache_write_1h=setting.cache_write_1h,
        reasoning=setting.reasoning,
    )
    return Price(ref="settings", currency=setting.currency, brackets=(Bracket(0, rates),))


def check_names(models: tuple[ModelConfig, ...]) -> None:
    """Raises SettingsError where two models have one name."""
    seen: dict[str, str] = {}
    for model in models:
        for name in (model.name, *model.aliases):
            if name in seen:
                raise SettingsError(f"the name {name!r} is given to {seen[name]!r} and to {model.name!r}")
            seen[name] = model.name


def deployment_of(upstream: str, offer: Offer) -> DeploymentConfig:
    """What a worker is told of an offer."""
    return DeploymentConfig(
        name=f"{upstream}/{offer.model}",
        upstream=upstream,
        model=offer.model,
        prices=offer.prices,
        max_output=offer.max_output,
        context=offer.context,
    )


def implicit_models(drafts: list[Draft], explicit: tuple[ModelConfig, ...]) -> tuple[ModelConfig, ...]:
    """Every model under the name its upstreams give it, but for names that the settings use."""
    taken = {name for model in explicit for name in (model.name, *model.aliases)}
    serving: dict[str, list[str]] = {}
    created: dict[str, int] = {}
    for draft in drafts:
        for offer in draft.offers.values():
            if offer.model in taken or offer.model not in draft.listed:
                continue  # what only a [[model]] names has that name alone
            serving.setdefault(offer.model, []).append(f"{draft.upstream.name}/{offer.model}")
            created[offer.model] = max(created.get(offer.model, 0), offer.created_s)
    return tuple(
        ModelConfig(name=model, deployments=tuple(names), created_s=created[model])
        for model, names in serving.items()
    )
