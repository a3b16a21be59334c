"""What people may send to labeling."""

from rest_framework import serializers

from labeling.states import ExportFormat


class DatasetForm(serializers.Serializer):
    """A dataset of one line; `line` is the line's code."""

    line = serializers.CharField(max_length=8)
    name = serializers.CharField(max_length=100)


class ExportForm(serializers.Serializer):
    format = serializers.ChoiceField(choices=ExportFormat.choices, default=ExportFormat.MVTEC)
