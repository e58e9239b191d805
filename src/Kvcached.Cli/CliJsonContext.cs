using System.Text.Json.Serialization;
using Kvcached.Cli.Checks;
using Kvcached.Cli.Planning;

namespace Kvcached.Cli;

/// <summary>Writes what commands find out by themselves.</summary>
[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase, WriteIndented = true, UseStringEnumConverter = true)]
[JsonSerializable(typeof(Plan))]
[JsonSerializable(typeof(CheckResult[]))]
internal sealed partial class CliJsonContext : JsonSerializerContext;
