from django.apps import AppConfig

from audit.presence import on_gone


class ReviewConfig(AppConfig):
    name = "review"
    verbose_name = "Review"

    def ready(self) -> None:
        from review.actions import release_soon  # needs the models, which are loaded by now

        on_gone(release_soon)
