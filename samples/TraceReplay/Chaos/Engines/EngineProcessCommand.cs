using Kvcached.EngineProbe;
using Spectre.Console.Cli;

namespace Kvcached.TraceReplay.Chaos.Engines;

/// <summary>A scheduler or worker process of the chaos mode, told what to do line by line.</summary>
internal sealed class EngineProcessCommand : Command
{
    public const string Name = "engine-process";

    public override int Execute(CommandContext context, CancellationToken cancellationToken)
    {
        CommandLoop.Run(Console.In, Console.Out);
        return ExitCodes.Success;
    }
}
