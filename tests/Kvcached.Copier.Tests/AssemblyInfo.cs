using System.Runtime.Versioning;

// Nearly every test here starts processes or counts descriptors; side by side they would count each other's.
[assembly: CollectionBehavior(DisableTestParallelization = true)]
[assembly: SupportedOSPlatform("linux")]
