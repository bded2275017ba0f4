// Adamax, NAdam and RAdam, in torch's order of operations. They share the options of Adam.
//
// Reference: Kingma & Ba 2015, arXiv 1412.6980 (Adamax); Dozat 2016 (NAdam); Liu et al. 2020, arXiv 1908.03265 (RAdam);
// torch.optim.Adamax, NAdam, RAdam.

import Foundation
import TuttiEncoders
import TuttiGround
import TuttiKernels

/// `optim: adamax`: the largest recent gradient in place of the root mean square. Weight decay is coupled.
struct Adamax: Optimizer {
    /// What the registry knows of it.
    static let entry = OptimizerEntry(
        names: ["adamax"], summary: "AdamW with the largest recent gradient in its denominator",
        settings: AdamW.Settings.self, start: AdamW.takeArguments
    ) { Adamax(settings: $0) }

    let settings: AdamW.Settings

    var stateNames: [String] { ["exp_avg", "exp_inf"] }

    func update(
        _ run: UpdateRun, of parameters: ParameterStore, state: OptimizerState, step: Int, factor: Double,
        gradientScale: Float
    ) {
        var scalars = UpdateScalars(gradientScale: gradientScale)
        scalars.coupledDecay = run.weightDecay
        (scalars.beta1, scalars.beta2, scalars.epsilon) = (settings.beta1, settings.beta2, settings.epsilon)
        scalars.rate = run.baseRate * factor / (1 - OptimizerKernels.power(settings.beta1, step))
        OptimizerKernels.apply(.adamax, run.arrays(parameters, state, a: 0, b: 1), scalars)
    }
}

/// `optim: nadam`: Adam with Nesterov's momentum, which rises with the steps.
struct NAdam: Optimizer {
    /// Its options.
    struct Settings: DescribedSettings {
        var adam = AdamW.Settings()
        var momentumDecay = 4e-3
        var isDecoupled = false

        static let options = OptionList<Settings>(AdamW.options(at: \.adam) + own)
        private static let own: [Option<Settings>] = [
            Option("momentum_decay", \.momentumDecay, "how fast the momentum rises", check: .within(0...1e6)),
            Option(
                "decoupled_weight_decay", \.isDecoupled,
                "weight decay as AdamW's, not as a part of the gradient"),
        ]
    }

    /// What the registry knows of it.
    static let entry = OptimizerEntry(
        names: ["nadam"], summary: "Adam with Nesterov's momentum", settings: Settings.self,
        start: { AdamW.takeArguments(&$0.adam, $1) }
    ) { NAdam(settings: $0) }

    let settings: Settings
    /// The product of all momenta up to a step, which soon is 0 in fp32 and stays so.
    private let products: [Float]

    init(settings: Settings) {
        self.settings = settings
        var products: [Float] = [1]
        while let last = products.last, last > 0, products.count < Self.mostProducts {
            products.append(last * Float(Self.momentum(settings, products.count)))
        }
        self.products = products
    }

    private static let mostProducts = 1 << 20

    var stateNames: [String] { ["exp_avg", "exp_avg_sq"] }

    func leavesStill(_ run: UpdateRun) -> Bool { run.weightDecay == 0 && settings.adam.epsilon > 0 }

    func update(
        _ run: UpdateRun, of parameters: ParameterStore, state: OptimizerState, step: Int, factor: Double,
        gradientScale: Float
    ) {
        let rate = run.baseRate * factor
        var scalars = UpdateScalars(gradientScale: gradientScale)
        scalars.coupledDecay = settings.isDecoupled ? 0 : run.weightDecay
        scalars.decay = settings.isDecoupled ? 1 - rate * run.weightDecay : 1
        let adam = settings.adam
        (scalars.beta1, scalars.beta2, scalars.epsilon) = (adam.beta1, adam.beta2, adam.epsilon)
        let (momentum, next) = (Self.momentum(settings, step), Self.momentum(settings, step + 1))
        let product = Double(products[min(step, products.count - 1)])
        scalars.rate = -rate * (1 - momentum) / (1 - product)
        scalars.secondRate = -rate * next / (1 - product * next)
        scalars.correction2 = 1 - OptimizerKernels.power(adam.beta2, step)
        OptimizerKernels.apply(.nadam, run.arrays(parameters, state, a: 0, b: 1), scalars)
    }

    /// The momentum of a step, 1 for the first.
    private static func momentum(_ settings: Settings, _ step: Int) -> Double {
        settings.adam.beta1 * (1 - 0.5 * pow(0.96, Double(step) * settings.momentumDecay))
    }
}

/// `optim: radam`: Adam whose first steps, of which too little is known, go without a denominator.
struct RAdam: Optimizer {
    /// Its options.
    struct Settings: DescribedSettings {
        var adam = AdamW.Settings()
        var isDecoupled = false

        static let options = OptionList<Settings>(AdamW.options(at: \.adam) + own)
        private static let own: [Option<Settings>] = [
            Option(
                "decoupled_weight_decay", \.isDecoupled,
                "weight decay as AdamW's, not as a part of the gradient")
        ]
    }

    /// What the registry knows of it.
    static let entry = OptimizerEntry(
        names: ["radam"], summary: "Adam that begins carefully, in place of a warm-up", settings: Settings.self,
        start: { AdamW.takeArguments(&$0.adam, $1) }
    ) { RAdam(settings: $0) }

    let settings: Settings

    var stateNames: [String] { ["exp_avg", "exp_avg_sq"] }

    func leavesStill(_ run: UpdateRun) -> Bool { run.weightDecay == 0 && settings.adam.epsilon > 0 }

    func update(
        _ run: UpdateRun, of parameters: ParameterStore, state: OptimizerState, step: Int, factor: Double,
        gradientScale: Float
    ) {
        let (adam, rate) = (settings.adam, run.baseRate * factor)
        var scalars = UpdateScalars(gradientScale: gradientScale)
        scalars.coupledDecay = settings.isDecoupled ? 0 : run.weightDecay
        scalars.decay = settings.isDecoupled ? 1 - rate * run.weightDecay : 1
        (scalars.beta1, scalars.beta2, scalars.epsilon) = (adam.beta1, adam.beta2, adam.epsilon)
        let power = OptimizerKernels.power(adam.beta2, step)
        let longest = 2 / (1 - adam.beta2) - 1
        let length = longest - 2 * Double(step) * power / (1 - power)
        scalars.rate = rate
        scalars.correction1 = 1 - OptimizerKernels.power(adam.beta1, step)
        scalars.correction2 = (1 - power).squareRoot()
        if length > 5 {
            scalars.secondRate =
                ((length - 4) * (length - 2) * longest / ((longest - 4) * (longest - 2) * length)).squareRoot()
        }
        OptimizerKernels.apply(.radam, run.arrays(parameters, state, a: 0, b: 1), scalars)
    }
}
