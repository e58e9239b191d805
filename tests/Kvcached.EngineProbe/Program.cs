using Kvcached.EngineProbe;

CommandLoop.Run(Console.In, Console.Out, ReaderCommands.AddTo);
return 0;
