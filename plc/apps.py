from django.apps import AppConfig


class PlcConfig(AppConfig):
    name = "plc"
    verbose_name = "PLC gateway"
