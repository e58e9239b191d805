using System.Text.Json;
using Kvcached.Core.Contracts;

namespace Kvcached.Host.Startup;

/// <summary>The one line on stdout, for whoever started the host.</summary>
internal static class ReadyLine
{
    public const string EventName = "ready";

    public static string Write(ReadyEvent ready) => JsonSerializer.Serialize(ready, HostJsonContext.Default.ReadyEvent);
}
