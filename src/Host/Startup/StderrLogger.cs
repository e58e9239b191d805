using System.Globalization;
using Akka.Event;

namespace Kvcached.Host.Startup;

/// <summary>
/// What Akka logs before its loggers run and after they have stopped. By itself it writes that to stdout, where only the line of a
/// host that is ready belongs.
/// </summary>
internal sealed class StderrLogger : MinimalLogger
{
    protected override void Log(object message) =>
        Console.Error.WriteLine(Convert.ToString(message, CultureInfo.InvariantCulture)?.ReplaceLineEndings(" "));
}
